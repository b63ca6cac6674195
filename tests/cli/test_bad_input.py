"""Every kind of bad input ends in one line that names the file and the mend."""

import numpy as np
import pytest
import soundfile
from PIL import Image

RATE = 16_000


def write_sound(path, data, rate=RATE, **kw):
    soundfile.write(path, data, rate, **kw)


def sound(kind, folder, media):
    """A bad sound of a kind, or None where there is no file."""
    path = folder / f"{kind}.wav"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "not_audio":
        path.write_bytes(b"this is no sound at all" * 40)
    elif kind == "truncated":
        path = path.with_suffix(".flac")
        write_sound(path, np.random.default_rng(0).normal(size=RATE * 2) * 0.1)
        path.write_bytes(path.read_bytes()[:60])
    elif kind == "nan":
        write_sound(path, np.full(RATE, np.nan, np.float32), subtype="FLOAT")
    elif kind == "no_samples":
        write_sound(path, np.zeros(0))
    elif kind == "10_ms":
        write_sound(path, np.ones(RATE // 100) * 0.1)
    elif kind == "folder":
        path.mkdir()
    return path


BAD_SOUNDS = {
    "absent": "no such file",
    "empty": "empty file",
    "not_audio": "cannot be decoded",
    "truncated": "cannot be decoded",
    "nan": "NaN",
    "no_samples": "no samples",
    "10_ms": "25 ms",
    "folder": "is a folder",
}


@pytest.mark.parametrize("kind", BAD_SOUNDS)
def test_bad_sound(kind, refused, tmp_path, media):
    path = sound(kind, tmp_path, media)
    result = refused("embed", "--audio", path, words=BAD_SOUNDS[kind])
    assert path.name in result.stderr


@pytest.mark.parametrize("kind", ["silent", "eight_channels", "three_seconds", "twenty_minutes"])
def test_unusual_sound_that_is_fine(kind, run, tmp_path):
    rng = np.random.default_rng(0)
    data = {
        "silent": np.zeros(RATE),
        "eight_channels": rng.normal(size=(RATE, 8)) * 0.1,
        "three_seconds": rng.normal(size=3 * RATE) * 0.1,
        "twenty_minutes": np.tile(rng.normal(size=RATE) * 0.1, 1200),
    }[kind]
    write_sound(tmp_path / "x.wav", data)
    few = ("--option", "clips=3") if kind == "twenty_minutes" else ()  # not a thousand
    result = run("embed", "--audio", "x.wav", "-o", "x.npy", *few)
    assert result.exit_code == 0, result.output
    assert np.isclose(np.linalg.norm(np.load(tmp_path / "x.npy")), 1, atol=1e-5)


def picture(kind, folder, media):
    path = folder / f"{kind}.png"
    if kind == "truncated":
        path.write_bytes((media / "garden.png").read_bytes()[:4000])
    elif kind == "not_picture":
        path.write_text("no picture")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        Image.new("1", (20_000, 20_000)).save(path)
    return path


BAD_PICTURES = {
    "absent": "no such file",
    "truncated": "cut short",
    "not_picture": "not an image",
    "empty": "empty file",
    "folder": "is a folder",
    "huge": "too many pixels",
}


@pytest.mark.parametrize("kind", BAD_PICTURES)
def test_bad_picture(kind, refused, tmp_path, media):
    path = picture(kind, tmp_path, media)
    result = refused("detect", "--text", "a dog", path, words=BAD_PICTURES[kind])
    assert path.name in result.stderr


@pytest.mark.parametrize("kind", ["one_pixel", "cmyk", "sixteen_bit", "animated", "very_wide"])
def test_unusual_picture_that_is_fine(kind, run, tmp_path):
    path = tmp_path / {"cmyk": "x.jpg", "animated": "x.gif"}.get(kind, "x.png")
    if kind == "one_pixel":
        Image.new("RGB", (1, 1)).save(path)
    elif kind == "cmyk":
        Image.new("CMYK", (60, 40), (10, 20, 30, 40)).save(path)
    elif kind == "sixteen_bit":
        Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 20).save(path)
    elif kind == "animated":
        frames = [Image.new("RGB", (60, 40), c) for c in ("red", "blue")]
        frames[0].save(path, save_all=True, append_images=frames[1:])
    else:
        Image.new("RGB", (900, 20)).save(path)
    result = run("detect", "--text", "a dog", path)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "bindplug-out" / "x.png").exists()
    assert run("embed", "--image", path).exit_code == 0


def test_good_ones_among_bad_ones_are_still_done(run, media, tmp_path, pipeline_folder):
    result = run("detect", "--audio", "absent.wav", "--audio", media / "dog.wav",
                 "absent.png", media / "garden.png", "--json", "out.json")  # fmt: skip
    assert result.exit_code == 2
    assert result.stderr.count("Error:") == 2
    assert (tmp_path / "bindplug-out" / "garden.png").exists() and (tmp_path / "out.json").exists()
    result = run("embed", "--text", "dog", "--audio", "absent.wav", "-o", "x.npy")
    assert result.exit_code == 2 and np.load(tmp_path / "x.npy").shape == (1, 256)
    result = run("generate", "--audio", "absent.wav", "--text", "a dog", "--steps", 1,
                 "--weights", f"local:{pipeline_folder}")  # fmt: skip
    assert result.exit_code == 2 and (tmp_path / "bindplug-out" / "a-dog_0000.png").exists()


def test_output_folder(refused, run, media, tmp_path):
    (tmp_path / "file").write_text("")
    args = ("--text", "a dog", media / "garden.png")
    refused("detect", *args, "-o", "file", words="cannot be written")
    refused("generate", "--text", "a dog", "-o", "file/x", words="cannot be written")
    refused("demo", "-o", "file", words="cannot be written")
    assert run("detect", *args).exit_code == 0
    refused("detect", *args, words="--overwrite")
    assert run("detect", *args, "--overwrite").exit_code == 0
    (tmp_path / "x.npy").write_text("mine")
    refused("embed", "--text", "a", "-o", "x.npy", words="--overwrite")
    assert (tmp_path / "x.npy").read_text() == "mine"
    refused("embed", "--text", "a", "-o", "x.txt", words="extension")


def test_unknown_names(refused, media, pipeline_folder):
    args = ("detect", "--text", "a dog", media / "garden.png", "--no-overlay")
    refused(*args, "--model", "big", words="no embedder 'big'")
    refused(*args, "--detector", "nose", words="no detector 'nose'")
    refused(*args, "--weights", "big", words="no weights 'big'")
    refused(*args, "--device", "abacus", words="abacus")
    refused(*args, "--bridge", "teleport", words="no bridge 'teleport'")
    refused("generate", "--text", "a", "--generator", "brush", words="no generator 'brush'")
    refused("generate", "--text", "a", "--weights", "huge", words="local:PATH")
    refused("generate", "--text", "a", "--weights", "local:nowhere", words="model_index")
    refused("generate", "--text", "a", "--weights", f"local:{pipeline_folder}", "--height", "30",
            words="multiple of 8")  # fmt: skip


def test_no_prompt(refused, media):
    refused("detect", media / "garden.png", "--no-overlay", words="--audio FILE")
    refused("generate", words="--audio FILE")
    refused("embed", words="--audio FILE")


def test_the_wrong_bridge(refused, media):
    refused("detect", "--text", "a dog", media / "garden.png", "--no-overlay", "--bridge",
            "identity", words="two spaces", code=4)  # fmt: skip


def test_weights_that_are_not_weights(refused, media, tmp_path):
    (tmp_path / "bad.pth").write_bytes(b"nonsense")
    args = ("detect", "--text", "a dog", media / "garden.png", "--no-overlay")
    refused(*args, "--weights", "local:bad.pth", words="cannot be read as weights")
    refused(*args, "--model", "local:bad.pth", words="cannot be read as weights")
