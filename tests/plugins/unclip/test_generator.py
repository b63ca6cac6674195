"""The generator as a library: seeds, threads, its bank of image embeddings, and what it leaves
behind."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import bindplug
from bindplug import BindplugError
from bindplug.bridge import TEMPLATES
from bindplug.embedding.vectors import concatenate, unit
from bindplug_unclip.bank import ImageBank, load_bank
from bindplug_unclip.generator import HERE, PipelineGenerator, load

FEW = {"steps": 2, "candidates": 1}


@pytest.fixture(scope="module")
def generator():
    return bindplug.load_generator("unclip", "small", "cpu")


@pytest.fixture(scope="module")
def prompt():
    return bindplug.load_embedder("small", "cpu").embed(text="a heart")


def test_a_fingerprint_is_of_the_weights(generator, pipeline_folder):
    again, other = load("small", "cpu"), load(f"local:{pipeline_folder}", "cpu")
    assert generator.fingerprint and generator.fingerprint == again.fingerprint
    assert other.fingerprint not in ("", generator.fingerprint)


def pixels(image):
    return np.asarray(image).astype(int)


def test_seeds(generator, prompt):
    [a], [b] = (generator.generate(prompt, seed=s, **FEW) for s in (7, np.uint64(7)))
    assert np.array_equal(pixels(a), pixels(b))
    [top] = generator.generate(prompt, seed=2**63, **FEW)
    assert not np.array_equal(pixels(a), pixels(top))
    generator.generate(prompt, seed=np.uint64(2**63), steps=2, candidates=2)
    for seed in (2**63 + 1, 2**64, -1, 1.0, "3", None):
        with pytest.raises(BindplugError, match=r"^seed "):
            generator.generate(prompt, seed=seed, **FEW)
    for name in ("guidance_scale", "strength"):
        with pytest.raises(BindplugError, match=f"^{name} nan"):
            generator.generate(prompt, **FEW, **{name: float("nan")})


def test_threads_get_the_images_that_they_would_get_alone(generator, prompt, media):
    from PIL import Image

    other = bindplug.load_generator("unclip", "small", "cpu")
    start = Image.open(media / "farm.png").convert("RGB")
    jobs = [{"seed": s, "noise_level": 300, **FEW} for s in range(4)]
    jobs += [{"seed": s, "init_image": start, "strength": 0.5, **FEW} for s in range(4)]
    alone = [pixels(generator.generate(prompt, **job)[0]) for job in jobs]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(lambda i: (generator, other)[i % 2].generate(prompt, **jobs[i]), range(8))
        for one, [image] in zip(alone, made, strict=True):
            assert np.array_equal(one, pixels(image))
    assert torch.equal(state, torch.get_rng_state())


def test_loading_leaves_logging_as_it_was(pipeline_folder):
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for log in (diffusers_logging, transformers_logging):
        log.set_verbosity_info()
        log.enable_progress_bar()
    try:
        load(f"local:{pipeline_folder}", "cpu")
        for log in (diffusers_logging, transformers_logging):
            assert log.get_verbosity() == 20 and log.is_progress_bar_enabled()
    finally:
        for log in (diffusers_logging, transformers_logging):
            log.set_verbosity_warning()


def test_defaults_are_the_models_own(generator, kandinsky):
    from bindplug.generation import GenerationSettings

    own = json.loads((HERE / "small" / "bindplug.json").read_text())
    small = generator.resolve(GenerationSettings())
    assert (small.steps, small.guidance_scale) == (own["steps"], own["guidance_scale"])
    assert small.height == small.width == generator.size == 96
    other = PipelineGenerator(kandinsky, "x").resolve(GenerationSettings(width=8))
    assert (other.steps, other.guidance_scale) == (100, 4.0)
    assert (other.height, other.width) == (PipelineGenerator(kandinsky, "x").size, 8)
    assert (generator.device, generator.dtype) == ("cpu", "float32")
    with pytest.raises(BindplugError, match="give it as `space`"):
        PipelineGenerator(kandinsky)


def test_a_bank_projects(generator, prompt):
    bank = generator.bank
    logits = prompt.vectors @ bank.vectors.T / 0.02
    weights = np.exp(logits - logits.max())
    wanted = (weights / weights.sum()) @ bank.vectors
    wanted /= np.linalg.norm(wanted)
    assert np.allclose(bank(prompt).vectors, wanted, atol=1e-6)


@pytest.mark.parametrize("damage", ["cut", "names", "json", "nan", "count"])
def test_a_damaged_bank(damage, pipeline_folder, tmp_path):
    folder = tmp_path / "pipeline"
    shutil.copytree(pipeline_folder, folder)
    vectors, names = folder / "memory.safetensors", folder / "memory.json"
    if damage == "cut":
        vectors.write_bytes(vectors.read_bytes()[:100])
    elif damage == "names":
        names.write_text(json.dumps({"sounding": 3, "names": ["dog"]}))
    elif damage == "json":
        names.write_text("[1]")
    elif damage == "nan":
        save_file({"vectors": np.full((5, 256), np.nan, np.float32)}, vectors)
    else:
        names.write_text(json.dumps({"sounding": 9, "names": list("abcde")}))
    with pytest.raises(BindplugError, match=r"memory\.safetensors: is damaged"):
        load(f"local:{folder}", "cpu")


def test_a_bank_of_ones_own_that_is_none(tmp_path):
    plain = tmp_path / "plain.safetensors"
    save_file({"vectors": np.ones((2, 256), np.float32)}, plain)
    with pytest.raises(BindplugError, match="was not written by embed"):
        load_bank(plain, "small")
    labelled = {"space": "small", "labels": '["a", "b", "c"]'}
    save_file({"vectors": np.ones((2, 256), np.float32)}, plain, metadata=labelled)
    with pytest.raises(BindplugError, match="for 3 names; make it again"):
        load_bank(plain, "small")
    with pytest.raises(BindplugError, match="3 of 2"):
        ImageBank("small", ["a", "b"], np.eye(2), 3)


def test_a_damaged_bindplug_json(pipeline_folder, tmp_path):
    folder = tmp_path / "pipeline"
    shutil.copytree(pipeline_folder, folder)
    for text in ("", "[1]", '{"space": "small", "steps": "x"}', '{"colour": 1}'):
        (folder / "bindplug.json").write_text(text)
        with pytest.raises(BindplugError, match=r"bindplug\.json: is damaged"):
            load(f"local:{folder}", "cpu")


def prompts(generator, prompt, away):
    """What is painted for a prompt with a negative."""
    painted = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator, "generate_batch", lambda row, *rest: [painted.append(row)])
        generator.generate(prompt, negative=away, **FEW)
    return painted


def test_a_negative_is_subtracted_where_the_pipeline_lives(generator, prompt):
    """Texts of another space: both are read there, not the difference put into words."""
    away = bindplug.load_embedder("small", "cpu").embed(text="a frog")
    [own] = prompts(generator, prompt, away)
    wanted = generator.bank(bindplug.compose([(prompt, 1.0), (away, -0.5)]))
    assert np.allclose(own.vectors, wanted.vectors, atol=1e-6)

    elsewhere = PipelineGenerator(generator.pipe, "small-clip")
    there = bindplug.load_embedder("small-clip", "cpu").embed
    mean = [unit(there(text=[t.replace("{}", w) for t in TEMPLATES]).vectors.mean(0))
            for w in ("heart", "frog")]  # fmt: skip
    [crossed] = prompts(elsewhere, prompt, away)
    assert np.allclose(crossed.vectors, unit(mean[0] - 0.5 * mean[1]), atol=1e-5)
    with pytest.raises(BindplugError, match="a negative of 2 rows"):
        generator.generate(prompt, negative=concatenate([away, away]), **FEW)
    [plain], [turned] = (
        generator.morph(prompt, away, 2, **given, steps=2)[:1] for given in ({}, {"negative": away})
    )
    assert not np.array_equal(pixels(plain), pixels(turned))
