"""Of several pictures the one nearest to what was asked."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import bindplug
from bindplug import BindplugError, Embedding
from bindplug.generation.settings import GenerationSettings
from bindplug_unclip.candidates import STRIDE
from bindplug_unclip.generator import PipelineGenerator

FEW = {"steps": 4, "guidance_scale": 3.0}


def one(generator, prompt, seed, **settings):
    return generator.generate_batch(prompt, [seed], GenerationSettings(**settings))[0]


def pixels(picture):
    return np.asarray(picture).astype(int)


@pytest.fixture(scope="module")
def generator():
    return bindplug.load_generator("unclip", "small", "cpu")


def test_the_nearest_is_kept(generator, media):
    small = bindplug.load_embedder("small", "cpu")
    cat = small.embed(audio=str(media / "cat.wav"))
    prompt = generator.prepare(cat)
    alone = [one(generator, prompt, 7 + c * STRIDE, **FEW) for c in range(4)]
    cosines = small.embed(image=alone).vectors @ prompt.vectors[0]
    [kept] = generator.generate(cat, seed=7, candidates=4, **FEW)
    off = [np.abs(pixels(kept) - pixels(p)).mean() for p in alone]
    assert int(np.argmin(off)) == int(cosines.argmax())
    assert min(off) < 0.5, "a batch's picture is the seed's own up to rounding"
    [alone_too] = generator.generate(cat, seed=7, candidates=1, **FEW)
    assert np.array_equal(pixels(alone_too), pixels(alone[0]))


def test_the_small_model_keeps_the_best_of_its_own_number(generator):
    small = bindplug.load_embedder("small", "cpu")
    names = ["heart", "frog", "banjo", "ship", "owl", "axe"]
    asked = small.embed(text=names)
    wanted = np.concatenate([generator.prepare(asked[i]).vectors for i in range(len(names))])

    def cosine(**how):
        found = small.embed(image=generator.generate(asked, **FEW, **how)).vectors
        return (found * wanted).sum(axis=1)

    best, first = cosine(), cosine(candidates=1)
    assert (best >= first - 1e-3).all() and best.mean() > first.mean() + 0.02


def test_a_picture_painted_over_has_candidates_too(generator, media):
    from PIL import Image

    small = bindplug.load_embedder("small", "cpu")
    settings = {"init_image": Image.open(media / "farm.png").convert("RGB"), "strength": 0.5, **FEW}
    prompt = generator.prepare(small.embed(text="a frog"))
    both = generator.generate_batch(prompt, [0, 1], GenerationSettings(**settings))
    for seed, picture in enumerate(both):
        assert np.abs(pixels(picture) - pixels(one(generator, prompt, seed, **settings))).mean() < 1


class Eye:
    """Of whatever space; the brighter a picture, the nearer to the row."""

    def __init__(self, row: Embedding, modalities=("image", "text")):
        self.space, self.modalities, self.row, self.seen = row.space, modalities, row, []

    def embed(self, image):
        self.seen += image
        bright = np.array([np.asarray(p).mean() for p in image])[:, None]
        return SimpleNamespace(vectors=bright * self.row.vectors)


@pytest.mark.parametrize("family", ["kandinsky", "adapted", "variation", "karlo", "sdxl"])
def test_every_family_paints_them_in_a_batch(family, request):
    row = Embedding(np.random.default_rng(0).normal(size=(1, 32)), "nobody's", "text", ("a",))
    eye = Eye(row)
    row = replace(row, embedder=eye)
    generator = PipelineGenerator(request.getfixturevalue(family), row.space)
    settings = {"steps": 2, "guidance_scale": 3.0}
    if "height" in generator.family.setting_names:  # Karlo's size is its own
        settings |= {"height": 32, "width": 32}
    [kept] = generator.generate(row, candidates=3, **settings)
    assert len(eye.seen) == 3
    brightest = int(np.argmax([np.asarray(p).mean() for p in eye.seen]))
    assert np.array_equal(pixels(kept), pixels(eye.seen[brightest]))
    for c, picture in enumerate(eye.seen):
        alone = one(generator, generator.prepare(row), c * STRIDE, **settings)
        assert np.abs(pixels(picture) - pixels(alone)).mean() < 2


def test_a_pipeline_that_reads(reader):
    generator = PipelineGenerator(reader)
    asked = bindplug.load_embedder("small", "cpu").embed(text="a")
    settings = {"steps": 2, "height": 32, "width": 32, "negative_text": "a a"}
    [kept] = generator.generate(asked, candidates=2, **settings)
    alone = [one(generator, asked, c * STRIDE, **settings) for c in range(2)]
    assert min(np.abs(pixels(kept) - pixels(p)).mean() for p in alone) < 2


def test_refusals(generator):
    small = bindplug.load_embedder("small", "cpu")
    with pytest.raises(BindplugError, match="candidates 0"):
        generator.generate(small.embed(text="x"), candidates=0)
    row = Embedding(np.ones((1, 256)), "blind", "text", ("x",))
    eye = Eye(row, modalities=("text",))
    with pytest.raises(BindplugError, match="'blind'"):
        generator.generate(replace(row, embedder=eye), candidates=2)
    assert not eye.seen
