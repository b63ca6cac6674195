"""The small generator that is shipped: it paints what it is asked for, as an ordinary pipeline."""

import numpy as np
import pytest
import torch

import bindplug
from bindplug_unclip import conditioning
from bindplug_unclip.generator import HERE


@pytest.fixture(scope="module")
def generator():
    return bindplug.load_generator("unclip", "small", "cpu")


@pytest.fixture(scope="module")
def embedder():
    return bindplug.load_embedder("small", "cpu")


@pytest.mark.parametrize(
    ("text", "more", "less"), [("a heart", 0, 2), ("a frog", 1, 0), ("a water drop", 2, 0)]
)
def test_things_have_their_colour_and_white_ground(text, more, less, generator, embedder):
    pictures = generator.generate(embedder.embed(text=text), num_images=3, candidates=1)
    pixels = np.stack([np.asarray(p) for p in pictures]).astype(float)
    assert pixels.shape == (3, 96, 96, 3)
    assert pixels[:, [0, 0, -1, -1], [0, -1, 0, -1]].min() > 220, "the corners are ground"
    thing = pixels[pixels.min(-1) < 200]
    assert 0.05 < len(thing) / (3 * 96 * 96) < 0.9
    assert thing[:, more].mean() > thing[:, less].mean() + 30


def test_it_is_an_ordinary_pipeline_folder(embedder, media):
    from diffusers import StableUnCLIPImg2ImgPipeline

    pipe = StableUnCLIPImg2ImgPipeline.from_pretrained(HERE / "small").to(torch.float32)
    pipe.bindplug_space = "small"
    pipe.set_progress_bar_config(disable=True)
    rain = embedder.embed(audio=str(media / "rain.wav"))
    out = pipe(**conditioning(pipe, rain), num_inference_steps=3, height=96, width=96)
    assert out.images[0].size == (96, 96)


def test_sounds_reach_the_decoder_through_things_that_sound(generator, embedder, media):
    cat = embedder.embed(audio=str(media / "cat.wav"))
    near = generator.prepare(cat)
    names = generator.bank.names[: generator.bank.sounding]
    cosines = generator.bank.vectors[: len(names)] @ near.vectors[0]
    assert names[int(cosines.argmax())] == "cat"


def test_a_sum_keeps_both_in_mind(generator, embedder, media):
    cat, ship = embedder.embed(audio=str(media / "cat.wav")), embedder.embed(text="a ship")
    both = generator.prepare(bindplug.compose([(cat, 0.5), (ship, 0.5)]))
    names = np.array(generator.bank.names)
    nearest = names[np.argsort(-(generator.bank.vectors @ both.vectors[0]))]
    assert set(nearest[:2]) == {"cat", "ship"}
    apart = bindplug.compose([(generator.prepare(cat), 0.5), (generator.prepare(ship), 0.5)])
    assert np.allclose(both.vectors, apart.vectors, atol=1e-6)
