"""What a call writes is checked before its work: no output replaces an input or another output."""

import json
import os
import shutil
import threading

import numpy as np
import pytest

from bindplug.cli.output import JsonStream, check_outputs
from bindplug.errors import BindplugError


@pytest.fixture
def things(tmp_path, media):
    for name in ("dog.wav", "cat.wav", "farm.png"):
        shutil.copy(media / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def no_work(monkeypatch):
    """No model is loaded."""

    def work(*_, **__):
        raise AssertionError("a model was loaded")

    for kind in ("embedder", "detector", "generator"):
        monkeypatch.setattr(f"bindplug.models.load.load_{kind}", work)


TWICE = "two outputs would be written to it"


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    "outputs",
    [
        ("farm.png", "--json", "r.json", "--coco", "r.json"),
        ("farm.png", "--json", "r.json", "--coco", "./r.json", "--overwrite"),
        ("farm.png", "--coco", "bindplug-out/farm.json"),
        ("farm.png", "--json", "r/farm.png", "-o", "r", "--resume"),
        ("farm.png", "--json", "r/farm.json", "-o", "r", "--no-overlay"),
        ("--video", "farm.mp4", "--json", "bindplug-out/farm.json"),
        ("--video", "farm.mp4", "--json", "r/farm.mp4", "-o", "r"),
    ],
)
def test_no_output_of_detect_replaces_another(outputs, refused, things):
    refused("detect", "--audio", "dog.wav", *outputs, words=TWICE)


def test_outputs_of_one_file(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "link").symlink_to("r")
    with pytest.raises(BindplugError, match=r"link/x\.json: two outputs"):
        check_outputs([tmp_path / "r" / "x.json", tmp_path / "link" / "x.json"], [])
    check_outputs(["-", "-", None, None, tmp_path / "a", tmp_path / "b"], ["a text", None])


@pytest.mark.usefixtures("no_work")
def test_existing_files_are_refused_before_the_work(refused, things):
    (things / "r.json").write_text("mine")
    (things / "r").mkdir()
    (things / "r" / "film.png").write_text("mine")
    detect = ("detect", "--audio", "dog.wav", "farm.png")
    for call in (
        (*detect, "--json", "r.json"),
        (*detect, "--coco", "r.json", "--no-overlay"),
        ("detect", "--video", "film.mp4", "--json", "r.json"),
        ("search", ".", "--audio", "dog.wav", "--json", "r.json"),
        ("classify", "--labels", "a,b", "dog.wav", "--json", "r.json"),
        ("bridge", "explain", "--audio", "dog.wav", "--json", "r.json"),
        ("evaluate", "classify", ".", "--json", "r.json"),
        ("evaluate", "retrieve", "x.csv", "--json", "r.json"),
        ("evaluate", "detect", "x.json", "--json", "r.json"),
        ("evaluate", "avs", ".", "--json", "r.json"),
        ("evaluate", "generate", ".", "--json", "r.json"),
    ):
        refused(*call, words="r.json: exists; add --overwrite")
    refused("detect", "--video", "film.mp4", "-o", "r", words="r/film.png: exists")
    (things / "dog_0000.json").write_text("mine")
    refused("generate", "--audio", "dog.wav", "-o", ".", words="dog_0000.json: exists")
    assert (things / "r.json").read_text() == "mine"


@pytest.mark.usefixtures("no_work")
def test_no_output_replaces_an_input(refused, things):
    np.save(things / "x.npy", np.zeros((400, 6)))
    (things / "names.txt").write_text("dog\ncat\n")
    shutil.copy(things / "farm.png", things / "dog-cat.gif")
    (things / "shots" / "dog").mkdir(parents=True)
    shutil.copy(things / "dog.wav", things / "shots" / "dog" / "a.wav")
    shot = "shots/dog/a.wav"
    for call, replaced in (
        (("generate", "--morph", "dog.wav", "cat.wav", "--init-image", "dog-cat.gif", "-o", "."),
         "dog-cat.gif"),
        (("embed", "--imu", "x.npy", "-o", "x.npy"), "x.npy"),
        (("embed", "--text", "a", "--cache", "x.npy", "-o", "x.npy"), "x.npy"),
        (("search", ".", "--audio", "dog.wav", "--json", "dog.wav"), "dog.wav"),
        (("search", ".", "--audio", "dog.wav", "--json", "farm.png"), "farm.png"),
        (("classify", "--labels", "names.txt", "dog.wav", "--json", "names.txt"), "names.txt"),
        (("classify", "--labels", "a,b", "dog.wav", "--json", "./dog.wav"), "dog.wav"),
        (("classify", "--examples", "shots", "dog.wav", "--json", shot), shot),
        (("bridge", "explain", "--audio", "dog.wav", "--json", "dog.wav"), "dog.wav"),
        (("detect", "farm.png", "--audio", "dog.wav", "--vocabulary", "names.txt", "--json",
          "names.txt"), "names.txt"),
    ):  # fmt: skip
        refused(*call, "--overwrite", words=f"would replace the input {replaced}")
    assert np.load(things / "x.npy").shape == (400, 6)


@pytest.mark.parametrize(
    ("option", "flag"),
    [
        (("--resume",), "--resume"),
        (("--no-overlay",), "--overlay/--no-overlay"),
        (("--batch-size", 2), "--batch-size"),
        (("--coco", "c.json"), "--coco"),
    ],
)
@pytest.mark.usefixtures("no_work")
def test_what_a_video_has_no_use_for(option, flag, refused, things):
    refused("detect", "--video", "film.mp4", *option, words=f"leave out {flag}")


def fill(stream):
    for _ in range(1000):  # more than is buffered
        stream.add({"image": "x" * 1000}, {"schema": 1})


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is full")
def test_a_full_disk_is_one_line_with_the_file(refused, things):
    stream = JsonStream("/dev/full", "images", True)
    with pytest.raises(BindplugError, match="/dev/full: cannot be written"):
        fill(stream)
    stream.discard()
    refused("detect", "--audio", "dog.wav", "farm.png", "--no-overlay", "--json", "/dev/full",
            words="/dev/full: cannot be written (No space left")  # fmt: skip


def test_a_reader_that_goes_away_is_one_line(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: open(pipe, "rb").close(), daemon=True)
    reader.start()
    stream = JsonStream(str(pipe), None, False)
    reader.join(10)
    with pytest.raises(BindplugError, match=r"pipe: cannot be written \(Broken pipe"):
        fill(stream)
    stream.discard()


def test_a_json_stream_is_a_document(tmp_path):
    for name, count in (("images", 0), ("images", 2), (None, 0), (None, 2)):
        path = tmp_path / f"{name}{count}.json"
        stream = JsonStream(str(path), name, False)
        for i in range(count):
            stream.add({"n": i}, {"schema": 1})
        stream.close({"schema": 1})
        rows = [{"n": i} for i in range(count)]
        want = rows if name is None else {"schema": 1, "images": rows}
        assert json.loads(path.read_text()) == want
