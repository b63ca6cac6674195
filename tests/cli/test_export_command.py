"""`bindplug export`, and the folder as any command's --model."""

import json

import numpy as np
import pytest

import bindplug

pytest.importorskip("onnxscript", reason="the extra [onnx] is not installed")


def test_export_and_embed(run, media, tmp_path):
    result = run("export", "small", "--modality", "text", "-o", "out")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("text     batch x 32 int64 -> 256  15.1 MB  differs by ")
    assert "licence: Apache-2.0" in result.stderr
    result = run("embed", "--model", "onnx:out", "--text", "rain", "-o", "rain.npy")
    assert result.exit_code == 0, result.output
    wanted = bindplug.load_embedder("small", "cpu").embed(text="rain").vectors
    assert np.abs(np.load(tmp_path / "rain.npy") - wanted).max() < 1e-5
    result = run("export", "small", "--modality", "text", "-o", "out")
    assert result.exit_code == 2 and "out: exists; add --overwrite" in result.stderr
    assert run("export", "small", "--modality", "text", "-o", "out", "--overwrite").exit_code == 0


def test_other_commands_take_it(run, media, small_onnx):
    model = ("--model", f"onnx:{small_onnx}")
    result = run("classify", *model, "--labels", "dog,rain", media / "dog.wav", "--json", "-")
    assert result.exit_code == 0, result.output
    [row] = json.loads(result.stdout)["files"]
    assert next(iter(row["probabilities"])) == "dog"
    result = run("detect", *model, "--audio", media / "dog.wav", media / "garden.png")
    assert result.exit_code == 0 and "1 object" in result.output, result.output


def test_bad_options(refused, small_onnx, media):
    refused("export", "small", "-o", "x", "--modality", "smell", words="no modality 'smell'")
    refused("export", "nothing", "-o", "x", words="no embedder 'nothing'")
    refused("embed", "--model", "onnx:x", "--text", "a", words="x/manifest.json: cannot be read")
    model = ("--model", f"onnx:{small_onnx}")
    refused("embed", *model, "--depth", media / "farm.png", words="does not embed depth")
    refused("embed", *model, "--text", "a", "--dtype", "float16", words="compute in float32")
    refused("embed", *model, "--text", "a", "--no-split", words="--no-split is for")
