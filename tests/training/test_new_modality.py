"""The plugin of docs/training.md, installed as a package is, trained on made data."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bindplug
from bindplug import BindplugError
from bindplug.cli import main

DOCS = Path(__file__).parents[2] / "docs" / "training.md"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """The block of the document as a module with an entry point."""
    text = DOCS.read_text()
    [code] = re.findall(r"```python\n# touch.py\n(.*?)```", text, flags=re.DOTALL)
    assert len(code.splitlines()) <= 45
    site = tmp_path / "site"
    (site / "touch-1.0.dist-info").mkdir(parents=True)
    (site / "touch.py").write_text(code)
    (site / "touch-1.0.dist-info" / "METADATA").write_text("Name: touch\nVersion: 1.0\n")
    (site / "touch-1.0.dist-info" / "entry_points.txt").write_text(
        "[bindplug.trunks]\ntouch = touch:Touch\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("touch", None)


@pytest.fixture
def touches(world, tmp_path):
    """Maps of stripes whose distance goes with an image's colour."""
    rows = ["image,touch,label"]
    for i, image in enumerate(sorted((world / "image").rglob("*.png"))):
        kind = sorted({p.parent.name for p in (world / "image").rglob("*.png")}).index(
            image.parent.name
        )
        wave = np.sin(np.arange(40) * (0.3 + 0.5 * kind) + i)
        path = tmp_path / f"{image.stem}.npy"
        np.save(path, (0.5 + 0.4 * wave * np.ones((40, 1))).astype("f4"))
        rows.append(f"{image},{path},{image.parent.name}")
    (tmp_path / "touch.csv").write_text("\n".join(rows))
    return tmp_path / "touch.csv"


def test_bound_to_images_and_named_by_words(plugin, touches, tmp_path):
    command = [
        "train", "--train-data", str(touches), "--val-data", str(touches), "--init", "small",
        "--tower", "touch=touch:width=24", "--logs", str(tmp_path), "--name", "t", "--steps", "80",
        "--batch-size", "16", "--positives", "label", "--lr", "1e-2", "--device", "cpu",
        "--views", "1", "--val-frequency", "1000",
        "--aug", "image=none",  # what is drawn goes by the path, which is another each time
    ]  # fmt: skip
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    embedder = bindplug.load_embedder(f"local:{tmp_path}/t/model", device="cpu")
    assert embedder.space == "small" and "touch" in embedder.modalities
    lines = [line.split(",") for line in touches.read_text().splitlines()[1:]]
    names = ["blue", "green", "grey", "red"]
    felt = embedder.embed(touch=[line[1] for line in lines])
    seen = embedder.embed(image=[line[0] for line in lines])
    means = np.stack([seen.vectors[[line[2] == n for line in lines]].mean(0) for n in names])
    found = [names[i] for i in (felt.vectors @ means.T).argmax(1)]
    assert np.mean([f == line[2] for f, line in zip(found, lines, strict=True)]) > 0.8
    assert felt.modality == "touch" and felt.labels[0] == lines[0][1]
    with pytest.raises(BindplugError, match="is no map of pressure"):
        embedder.embed(touch=lines[0][0])
    with pytest.raises(BindplugError, match="does not embed smell"):
        embedder.embed(smell="x")


def test_without_the_plugin_the_folder_says_what_is_missing(plugin, touches, tmp_path):
    test_bound_to_images_and_named_by_words(plugin, touches, tmp_path)
    code = f"import bindplug; bindplug.load_embedder('local:{tmp_path}/t/model').embed(touch='x')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "no trunk 'touch'; there are: imagebind, timm" in run.stderr
