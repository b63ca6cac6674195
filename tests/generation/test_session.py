"""A session makes in Python what the command line makes, with models of any kind."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import bindplug
from bindplug import BindplugError
from bindplug.generation import GenerationSession, Recipe, read_recipe, write_image

FEW = {"steps": 3, "candidates": 1}


@pytest.fixture(scope="module")
def session():
    return GenerationSession(device="cpu")


def pixels(image):
    return np.asarray(image).astype(int)


def test_an_image_and_the_same_again(session, media, tmp_path):
    recipe = Recipe([("audio", str(media / "cat.wav")), ("text", "a tree")], [0.7, 0.3], seed=4,
                    window="most_confident", **FEW)  # fmt: skip
    (first, _), (second, used) = session.generate(recipe, num_images=2)
    assert (used.seed, used.device, used.dtype) == (5, "cpu", "float32")
    assert (used.guidance_scale, used.height, used.space) == (3.0, 96, "small")
    assert not np.array_equal(pixels(first), pixels(second))
    write_image(tmp_path / "x.png", second, used)
    read = read_recipe(tmp_path / "x.png")
    again = GenerationSession.of(read)
    assert again.differences(read) == []
    [(image, _)] = again.generate(read)
    assert np.array_equal(pixels(image), pixels(second))


def test_differences_are_told_of(session):
    was = Recipe([("text", "x")], device="cuda:7", dtype="float16", embedder_fingerprint="other")
    told = session.differences(was)
    assert len(told) == 3 and "device was cuda:7, is cpu" in told[0]
    with pytest.raises(BindplugError, match="passed as objects"):
        GenerationSession.of(was)


def test_a_morph_is_steered_away(session, media):
    recipe = Recipe([("text", "a cat"), ("text", "a dog")], steps=2)
    away = replace(recipe, negative_audio=str(media / "cat.wav"))
    plain, steered = (np.asarray(session.morph(r, 2)[0]).astype(int) for r in (recipe, away))
    assert np.abs(plain - steered).max() > 10


def test_morph(session, media):
    recipe = Recipe([("audio", str(media / "cat.wav")), ("text", "a ship")], steps=3)
    frames = session.morph(recipe, 3)
    assert len(frames) == 3 and frames[0].size == (96, 96)
    [(cat, _)] = session.generate(Recipe(recipe.prompts[:1], **FEW))
    assert np.array_equal(pixels(frames[0]), pixels(cat))
    with pytest.raises(BindplugError, match="give two"):
        session.morph(Recipe([("text", "x")]), 3)


class Plain:
    """A generator of the protocol alone, which knows no settings."""

    space, reads_text, size, candidates = "small", False, 8, 1

    def generate(self, embedding, num_images=1, seed=0, candidates=1):
        return [Image.new("RGB", (8, 8), (seed, 0, 0))] * num_images


def test_with_models_of_ones_own(tmp_path):
    embedder = bindplug.load_embedder("small", "cpu")
    session = GenerationSession(embedder, Plain())
    [(image, used)] = session.generate(Recipe([("text", "a cat")], seed=9))
    assert image.getpixel((0, 0)) == (9, 0, 0)
    assert (used.model, used.generator, used.space) == ("", "", "small")
    with pytest.raises(BindplugError, match="no morphs"):
        session.morph(Recipe([("text", "a"), ("text", "b")]), 2)


def test_refused(session, media):
    cat = ("audio", str(media / "cat.wav"))
    for recipe, words in (
        (Recipe([cat], window="loudest"), "mean, all or most_confident"),
        (Recipe([cat], init_image="absent.png"), "no such file"),
    ):
        with pytest.raises(BindplugError, match=words):
            next(session.generate(recipe))
    with pytest.raises(BindplugError, match="2 weights for 1 prompts"):
        Recipe([cat], [0.5, 0.5])
    with pytest.raises(BindplugError, match="two sounds or more"):
        Recipe([cat], together=True)
    with pytest.raises(BindplugError, match="seed 9223372036854775809"):
        Recipe([cat], seed=2**63 + 1)
    with pytest.raises(BindplugError, match="'smell'"):
        Recipe([("smell", "x")])


@pytest.mark.parametrize("weights", [(0.99, 0.01), (0.01, 0.99)])
def test_weights_are_those_of_the_prompts_in_order(weights, session, media):
    """Also of sounds that are mixed into one, which stand where the first of them does."""
    sounds = [("audio", str(media / f"{name}.wav")) for name in ("rain", "cat")]
    recipe = Recipe([("text", "a tree"), *sounds], weights, together=True)
    assert recipe.label == "a tree + rain and cat"
    text = session.embed(Recipe([("text", "a tree")]))
    mixture = session.embed(Recipe(sounds, together=True))
    [row] = session.embed(recipe).vectors
    expected = weights[0] * text.vectors[0] + weights[1] * mixture.vectors[0]
    assert row @ (expected / np.linalg.norm(expected)) > 0.99999
    last = Recipe([sounds[0], ("text", "a tree"), sounds[1]], weights, together=True)
    assert last.label == "rain and cat + a tree"
    assert session.embed(last).vectors[0] @ text.vectors[0] == pytest.approx(
        session.embed(Recipe([*sounds, ("text", "a tree")], weights, together=True)).vectors[0]
        @ text.vectors[0]
    )


def test_options_of_prompts_and_of_the_embedder(session, media):
    cat = str(media / "cat.wav")
    recipe = Recipe([("audio", cat), ("text", "a")], options={"clips": 1}, normalize="none")
    heard = session.embedder.embed(audio=cat, clips=1, normalize="none")
    want = bindplug.compose([(heard, 1), (session.embedder.embed(text="a"), 1)])
    assert np.array_equal(session.embed(recipe).vectors, want.vectors)
    with pytest.raises(BindplugError, match="options 3; give a dictionary"):
        Recipe([("text", "a")], options=3)
    own = GenerationSession(generator=Plain(), device="cpu", embedder_settings={"batch_size": 3})
    assert own.embedder.batch_size == 3
