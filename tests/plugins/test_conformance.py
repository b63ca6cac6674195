"""The plugins of docs/plugins.md, through every command that takes one."""

import json
import re
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bindplug.cli import main
from bindplug.models.load import embedder_of

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
KINDS = {
    "bindplug.embedders": "colours",
    "bindplug.detectors": "cells",
    "bindplug.maskers": "ovals",
    "bindplug.generators": "solid",
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The command line, with the plugins of the page installed beside our own."""
    for name, block in re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE.read_text(), re.S):
        (tmp_path / f"{name}.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        "bindplug.models.registry.entry_points",
        lambda group: [
            *entry_points(group=group),
            EntryPoint(KINDS[group], f"{KINDS[group]}:PLUGIN", group),
            EntryPoint("broken", "no_such_package:PLUGIN", group),
        ],
    )
    embedder_of.cache_clear()
    monkeypatch.chdir(tmp_path)
    image = Image.new("RGB", (80, 80), "blue")
    image.paste("red", (0, 0, 40, 40))
    (tmp_path / "in").mkdir()
    image.save(tmp_path / "in" / "image.png")
    Image.new("RGB", (80, 80), "green").save(tmp_path / "in" / "green.png")

    def call(*args):
        result = CliRunner().invoke(main, [str(a) for a in args])
        assert result.exit_code == 0, (result.output, result.exception)
        return result

    yield call
    for name in KINDS.values():
        sys.modules.pop(name, None)
    embedder_of.cache_clear()


def test_an_embedder(run, tmp_path):
    prompt = ("--model", "colours", "--text", "red")
    run("embed", *prompt, "--image", "in", "-o", "x.npy")
    assert np.load("x.npy").shape == (3, 3)
    found = run(
        "classify",
        "in",
        "--modality",
        "image",
        "--labels",
        "red,green,blue",
        "--model",
        "colours",
        "--json",
        "-",
    )
    named = {Path(f["file"]).name: max(f["probabilities"], key=f["probabilities"].get)
             for f in json.loads(found.stdout)["files"]}  # fmt: skip
    assert named == {"image.png": "blue", "green.png": "green"}
    near = run("search", "in", *prompt, "--text", "green", "--json", "-")
    assert json.loads(near.stdout)["results"][0]["file"].endswith("green.png")
    assert "red" in run("bridge", "explain", *prompt, "--to", "colours").output
    run("bridge", "show", "--model", "colours", "--to", "colours")
    Path("t.csv").write_text("filename,category\nin/green.png,green\nin/image.png,blue\n")
    scores = run("evaluate", "classify", "t.csv", "--modality", "image", "--model", "colours",
                 "--json", "-")  # fmt: skip
    assert json.loads(scores.stdout)["top-1"]["value"] == 1
    Path("p.csv").write_text("image,text\nin/green.png,green\nin/image.png,blue\n")
    run("evaluate", "retrieve", "p.csv", "--query", "image", "--model", "colours")


@pytest.mark.parametrize("model", ["colours", "small"])
def test_a_detector_and_a_masker(run, model):
    who = ("--detector", "cells", "--weights", "plain", "--masks", "ovals/plain")
    result = run("detect", "in/image.png", "--text", "red", "--model", model, *who, "--json", "-")
    objects = json.loads(result.stdout)["images"][0]["objects"]
    if model == "colours":
        assert len(objects) == 4 and all(o["box"]["xmax"] <= 40 for o in objects)
    for o in objects:
        counts = o["mask"]["counts"]
        assert 0.6 < sum(counts[1::2]) / 400 < 0.9  # pi / 4 of a 20 x 20 box
    run("detect", "in", "--text", "red", "--negative-text", "blue", "--model", "colours", *who,
        "--bridge", "crops", "-o", "crops")  # fmt: skip


def test_a_generator(run):
    run("generate", "--text", "red", "--model", "colours", "--generator", "solid",
        "--weights", "plain", "-o", "out")  # fmt: skip
    [picture] = Path("out").glob("*.png")
    red, green, blue = np.asarray(Image.open(picture)).reshape(-1, 3)[0].astype(int)
    assert red > green and red > blue


def test_lists_name_what_is_broken(run):
    listed = run("plugins").output
    assert all(name in listed for name in KINDS.values()) and "no_such_package" in listed
    assert "solid" in run("models").output
