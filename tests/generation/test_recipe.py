"""Recipes in PNGs: what is in them, where their files are found, and what is refused."""

import json
import os
import shutil

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bindplug import BindplugError
from bindplug.generation import Recipe, read_recipe, write_image
from bindplug.generation.recipe import KEY

IMAGE = Image.new("RGB", (8, 8), "red")


def png_with(path, metadata):
    info = PngInfo()
    info.add_itxt(KEY, metadata if isinstance(metadata, str) else json.dumps(metadata))
    IMAGE.save(path, pnginfo=info)
    return path


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A recipe of two files, written to out/x.png."""
    monkeypatch.chdir(tmp_path)
    for folder in ("sounds", "out", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "sounds" / "a.wav").write_bytes(b"sound")
    (tmp_path / "start.png").write_bytes(b"image")
    recipe = Recipe(
        [("audio", str(tmp_path / "sounds" / "a.wav")), ("text", "/a text, no path")],
        init_image="start.png", weights=f"local:{tmp_path / 'sounds'}", seed=2**63, device="cpu",
        dtype="float32",
    )  # fmt: skip
    write_image(tmp_path / "out" / "x.png", IMAGE, recipe.hashed())
    return tmp_path / "out" / "x.png"


def contents(recipe):
    return [os.path.realpath(p) for p in recipe.files()]


def test_a_png_tells_no_absolute_path(made, tmp_path):
    text = Image.open(made).text[KEY]
    assert str(tmp_path) not in text and "../sounds/a.wav" in text
    assert json.loads(text)["weights"] == "local:../sounds"
    assert json.loads(text)["prompts"][1] == ["text", "/a text, no path"]


def test_files_are_found_from_anywhere_and_after_a_move(made, tmp_path, monkeypatch):
    wanted = [str(tmp_path / "sounds" / "a.wav"), str(tmp_path / "start.png")]
    recipe = read_recipe(made)
    assert contents(recipe) == wanted and recipe.seed == 2**63
    assert os.path.samefile(recipe.weights.removeprefix("local:"), tmp_path / "sounds")
    monkeypatch.chdir("/")
    assert contents(read_recipe(made)) == wanted
    deeper = tmp_path / "elsewhere" / "still"
    deeper.mkdir()
    shutil.move(made, deeper / "x.png")
    assert contents(read_recipe(deeper / "x.png")) == wanted
    shutil.move(tmp_path / "sounds" / "a.wav", deeper)
    assert contents(read_recipe(deeper / "x.png"))[0] == str(deeper / "a.wav")


def test_contents_decide_not_names(made, tmp_path):
    (tmp_path / "out" / "a.wav").write_bytes(b"another sound")
    assert contents(read_recipe(made))[0] == str(tmp_path / "sounds" / "a.wav")
    (tmp_path / "sounds" / "a.wav").write_bytes(b"changed")
    with pytest.raises(BindplugError, match=r"a\.wav: has changed since"):
        read_recipe(made)
    (tmp_path / "sounds" / "a.wav").unlink()
    (tmp_path / "out" / "a.wav").unlink()
    with pytest.raises(BindplugError, match=r"a\.wav: is gone"):
        read_recipe(made)


def test_those_of_earlier_versions(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"sound")
    place = str(tmp_path / "a.wav")
    digest = Recipe([("audio", place)]).hashed().sha256[place]
    job = {
        "bindplug": "0.1.0", "prompts": [["audio", place]], "mix": None, "together": False,
        "dtype": None, "negative_audio": None, "memory": place, "offload": False, "model": "small",
        "generator": "unclip", "weights": "small", "text": "", "negative_text": "",
        "init_image": None, "strength": 0.6, "window": "telling", "keep_loudness": True,
        "steps": 20, "guidance_scale": 3.0, "noise_level": 0, "height": None, "width": None,
        "sha256": {place: digest}, "device": "auto", "seed": 3,
    }  # fmt: skip
    recipe = read_recipe(png_with(tmp_path / "old.png", job))
    assert recipe.bank == place and recipe.prompts == (("audio", place),)
    assert (recipe.window, recipe.normalize) == ("most_confident", "none")
    assert (recipe.device, recipe.candidates, recipe.steps) == (None, 1, 20)


@pytest.mark.parametrize(
    "metadata",
    [
        "null", "{}", "[1]", "[]", "3", '"text"', "no json", '{"prompts": 5, "sha256": {}}',
        '{"prompts": [], "sha256": {}}', '{"prompts": [["smell", "x"]], "sha256": {}}',
        '{"prompts": [["text", 5]], "sha256": {}}', '{"prompts": [["text", "x"]], "sha256": []}',
        '{"prompts": [["text", "x"]], "sha256": {}, "steps": "many"}',
        '{"prompts": [["text", "x"]], "sha256": {}, "weights": null}',
        '{"prompts": [["text", "x"]], "sha256": {}, "bank": 4}',
        '{"prompts": [["text", "x"]], "sha256": {}, "seed": -1}',
        '{"prompts": [["text", "x"]], "sha256": {}, "guidance_scale": NaN}',
    ],
)  # fmt: skip
def test_no_recipe(tmp_path, metadata):
    png = png_with(tmp_path / "x.png", metadata)
    with pytest.raises(BindplugError, match="holds no recipe") as refused:
        read_recipe(png)
    assert "\n" not in str(refused.value)


def test_damaged_and_newer_files(made, tmp_path):
    whole = made.read_bytes()
    for end in (0, 20, len(whole) // 2, len(whole) - 30):
        (tmp_path / "cut.png").write_bytes(whole[:end])
        with pytest.raises(BindplugError, match=r"cut\.png"):
            read_recipe(tmp_path / "cut.png")
    newer = png_with(tmp_path / "n.png", {"prompts": [["text", "x"]], "sha256": {}, "mood": 1})
    with pytest.raises(BindplugError, match="newer bindplug"):
        read_recipe(newer)
