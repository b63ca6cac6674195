"""The examples of docs/pipelines.md run, each on a small pipeline of its class."""

import re
from pathlib import Path

import numpy as np
import pytest

from bindplug import Embedding
from bindplug_unclip import conditioning

PAGE = (Path(__file__).parents[3] / "docs" / "pipelines.md").read_text()
BLOCKS = {
    found.group(1): block
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    if (found := re.search(r"pipe = (\w+)\.from_pretrained", block))
}
CLASSES = {
    "UnCLIPPipeline": "karlo",
    "UnCLIPImageVariationPipeline": "variation",
    "KandinskyV22Pipeline": "kandinsky",
    "StableDiffusionPipeline": "adapted",
    "StableDiffusionXLPipeline": "sdxl",
    "StableCascadePriorPipeline": "cascade",
    "DiffusionPipeline": "reader",
}


def test_every_family_has_an_example():
    assert set(BLOCKS) == {*CLASSES, "StableUnCLIPImg2ImgPipeline"}


@pytest.mark.parametrize("name", CLASSES)
def test_example(name, request, monkeypatch):
    pipe = request.getfixturevalue(CLASSES[name])
    pipe.set_progress_bar_config(disable=True)
    label = "reader" if name == "DiffusionPipeline" else name
    modality, text = ("text", ("rain",)) if label == "reader" else ("audio", ("rain.wav",))
    rows = np.random.default_rng(0).normal(size=(1, 32))
    names = {"conditioning": conditioning, "rain": Embedding(rows, "x", modality, text)}
    exec(re.search(r"from diffusers import .*", BLOCKS[name]).group(), names)
    code = re.sub(r"num_inference_steps=\d+", "num_inference_steps=2", BLOCKS[name])
    code = code.split("from_pretrained", 1)[1]  # the small pipeline stands for the loaded one
    code = code[re.search(r"^(picture|latents) = ", code, flags=re.M).start() :]
    if "unCLIP" in name or "UnCLIP" in name:
        code = code.replace("conditioning(pipe, rain)", "conditioning(pipe, rain), **few")
        names["few"] = {"decoder_num_inference_steps": 2, "super_res_num_inference_steps": 2}
    elif name == "KandinskyV22Pipeline":
        code = code.replace("num_inference_steps=2", "num_inference_steps=2, height=64, width=64")
    exec(code, names | {"pipe": pipe})


def test_stable_unclip(pipeline_folder):
    from diffusers import StableUnCLIPImg2ImgPipeline

    pipe = StableUnCLIPImg2ImgPipeline.from_pretrained(pipeline_folder)
    rows = np.random.default_rng(0).normal(size=(1, 256))
    names = {"pipe": pipe, "conditioning": conditioning,
             "rain": Embedding(rows, "x", "audio", ("rain.wav",))}  # fmt: skip
    line = BLOCKS["StableUnCLIPImg2ImgPipeline"].strip().split("\n")[-1]
    exec(line.replace("num_inference_steps=20", "num_inference_steps=1"), names)
    assert names["picture"].size == (32, 32)
