"""demo, detect, generate and embed on good input."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import bindplug


def test_demo(run):
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert Image.open(result.stdout.strip()).width > 500
    assert "dog.wav: heard as" in result.stderr
    assert run("demo").exit_code == 2  # the sheet exists


def test_detect(run, media, tmp_path):
    scene = media / "garden.png"
    result = run("detect", "--audio", media / "dog.wav", scene, "--json", "-", "--coco", "c.json",
                 "--threshold", 0.05)  # fmt: skip
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["schema"] == 1 and data["model"] == "small" and data["detector"] == "detic/small"
    assert data["bridge"].startswith("vocabulary")
    image = data["images"][0]
    assert (image["width"], image["height"]) == (360, 270) and image["image"] == str(scene)
    best = image["objects"][0]
    assert best["label"] == "dog" and best["query"] == str(media / "dog.wav")
    assert set(best["box"]) == {"xmin", "ymin", "xmax", "ymax"}
    assert sum(best["mask"]["counts"]) == 360 * 270
    assert len(json.loads((tmp_path / "c.json").read_text())) == len(image["objects"])
    out = tmp_path / "bindplug-out"
    assert sorted(p.name for p in out.iterdir()) == ["garden.json", "garden.png"]
    assert Image.open(out / "garden.png").size == (360, 270)


def test_the_sound_of_a_cat_finds_the_cat(run, media):
    result = run("detect", "--audio", media / "cat.wav", media / "garden.png", "--json", "-",
                 "--no-overlay", "--threshold", 0.05)  # fmt: skip
    box = json.loads(result.stdout)["images"][0]["objects"][0]["box"]
    # The cat sits in the lower right corner of the garden: about (197, 157) to (293, 253).
    centre = ((box["xmin"] + box["xmax"]) / 2, (box["ymin"] + box["ymax"]) / 2)
    assert 220 < centre[0] < 270 and 180 < centre[1] < 230


def test_detect_takes_several_prompts_and_pictures(run, media):
    result = run("detect", "--text", "a dog", "--text", "a horse", media / "garden.png",
                 media / "farm.png", "--json", "-", "--threshold", 0.05)  # fmt: skip
    assert result.exit_code == 0, result.output
    images = json.loads(result.stdout)["images"]
    assert [i["objects"][0]["query"] for i in images] == ["a dog", "a horse"]


def test_generate(run, media, tmp_path, pipeline_folder):
    weights = f"local:{pipeline_folder}"
    result = run("generate", "--audio", media / "rain.wav", "--num-images", 2, "--steps", 2,
                 "--seed", 5, "--weights", weights)  # fmt: skip
    assert result.exit_code == 0, result.output
    out = tmp_path / "bindplug-out"
    names = ["rain_0000.json", "rain_0000.png", "rain_0001.json", "rain_0001.png"]
    assert sorted(p.name for p in out.iterdir()) == names
    metadata = json.loads((out / "rain_0001.json").read_text())
    assert metadata["seed"] == 6 and metadata["steps"] == 2
    rain = os.path.relpath(media / "rain.wav", out)
    assert metadata["prompts"] == [["audio", rain]]
    assert len(metadata["sha256"][rain]) == 64
    picture = Image.open(out / "rain_0001.png")
    assert json.loads(picture.text["bindplug:job"]) == metadata
    small = bindplug.load_embedder("small", "cpu")
    prompt = small.embed(audio=str(media / "rain.wav"), normalize="peak")
    again = bindplug.load_generator("unclip", weights, "cpu").generate(prompt, seed=6, steps=2)
    assert np.array_equal(np.asarray(picture), np.asarray(again[0]))


def test_generate_as_in_the_readme(run, media, tmp_path):
    result = run("generate", "--audio", media / "rain.wav")
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "bindplug-out" / "rain_0000.png").size == (96, 96)


@pytest.mark.parametrize("ending", ["npy", "safetensors"])
def test_embed(run, media, tmp_path, ending):
    path = tmp_path / f"x.{ending}"
    files = [media / "dog.wav", media / "rain.wav"]
    result = run("embed", "--audio", files[0], "--audio", files[1], "-o", path)
    assert result.exit_code == 0, result.output
    vectors = np.load(path) if ending == "npy" else load_file(path)["vectors"]
    expected = bindplug.load_embedder("small", "cpu").embed(audio=[str(f) for f in files])
    assert np.allclose(vectors, expected.vectors, atol=1e-6)


def test_embed_to_stdout(run):
    data = json.loads(run("embed", "--text", "a dog").stdout)
    assert data["space"] == "small" and data["labels"] == ["a dog"]
    assert len(data["vectors"][0]) == 256
