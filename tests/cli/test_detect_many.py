"""`bindplug detect` over folders, with bad pictures, interruptions, negatives and videos."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bindplug
from bindplug.cli import detect as command


@pytest.fixture
def folder(tmp_path, media):
    where = tmp_path / "pictures"
    where.mkdir()
    for i, name in enumerate(["garden", "farm", "garden"]):
        Image.open(media / f"{name}.png").convert("RGB").save(where / f"{i}.png")
    return where


def test_keep_going(run, folder, media):
    (folder / "1bad.png").write_text("no picture")
    result = run("detect", "--text", "a dog", folder, "--keep-going", "--json", "all.json",
                 "--coco", "c.json")  # fmt: skip
    assert result.exit_code == 5, result.output
    assert result.stderr.splitlines()[-1].strip().startswith(str(folder / "1bad.png"))
    images = json.loads(Path("all.json").read_text())["images"]
    assert [i["image"] for i in images] == [str(folder / f"{i}.png") for i in range(3)]
    ids = {row["image_id"] for row in json.loads(Path("c.json").read_text())}
    assert ids <= {1, 2, 3}  # the places in the JSON's images
    assert run("detect", "--text", "a dog", folder, "--overwrite").exit_code == 2


def test_resume_does_nothing_twice(run, folder, media, monkeypatch, tmp_path):
    arguments = ("detect", "--audio", media / "rooster.wav", folder, "--resume", "--json")
    whole = run(*arguments, "whole.json", "-o", "whole")
    assert whole.exit_code == 0, whole.output
    seen, write = [], command.Job._write

    def stop(self, found, path, stem):
        seen.append(path)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return write(self, found, path, stem)

    monkeypatch.setattr(command.Job, "_write", stop)
    result = run(*arguments, "out.json", "-o", "out")
    assert result.exit_code != 0 and not (tmp_path / "out.json").exists()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.json", "0.png"]
    seen.clear()
    monkeypatch.setattr(command.Job, "_write", lambda *a: seen.append(a[2]) or write(*a))
    assert run(*arguments, "out.json", "-o", "out").exit_code == 0
    assert [p[-5:] for p in seen] == ["1.png", "2.png"]
    assert (tmp_path / "out.json").read_text() == (tmp_path / "whole.json").read_text()
    result = run("detect", "--audio", media / "rooster.wav", folder, "--resume", "-o", "out",
                 "--competition", "none")  # fmt: skip
    assert result.exit_code == 2
    assert "was made from other prompts, models or settings (competition" in result.stderr


def test_what_to_stand_against(run, media):
    def scores(*more):
        result = run("detect", "--text", "a dog", media / "garden.png", "--json", "-",
                     "--no-overlay", "--threshold", 0.02, *more)  # fmt: skip
        assert result.exit_code == 0, result.output
        data = json.loads(result.stdout)
        return data, [o["score"] for o in data["images"][0]["objects"]]

    plain, base = scores()
    assert plain["competition"] == "words" and plain["bridge"].startswith("vocabulary")
    data, none = scores("--contrast", "none")
    assert data["competition"] == "none" and none != base
    assert scores("--negative-text", "a dog")[1] == []
    assert len(scores("--negative-text", "a cat")[1]) <= len(base)
    data, _ = scores("--vocabulary", "sounding")
    assert "163 words" in data["bridge"]
    assert scores("--bridge", "crops")[0]["bridge"] == "crops"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--contrast", "loud"], "no competition 'loud'"),
        (["--bridge", "magic"], "no bridge 'magic'"),
        (["--vocabulary", "absent.txt"], "no vocabulary"),
        (["--masks", "sam"], "PLUGIN/NAME"),
        (["--dtype", "int8"], "dtype 'int8'"),
        (["--resume", "--no-overlay"], "--resume needs the files"),
        (["--video", "x.mp4"], "give images, or one --video"),
    ],
)
def test_refusals(refused, media, arguments, words):
    refused("detect", "--text", "x", media / "garden.png", *arguments, words=words)


def test_a_bridge_to_another_kind_of_detector(refused, media):
    refused("detect", "--text", "x", media / "garden.png", "--bridge", "words",
            words="target models that read", code=4)  # fmt: skip


def test_video(run, make_video, media, tmp_path):
    film = make_video("green", seconds=3, tone=440)
    result = run("detect", "--video", film, "--json", "-", "--threshold", 0.01)
    assert result.exit_code == 0, result.output
    timeline = json.loads(result.stdout)
    assert timeline["windows"][0]["heard"] and timeline["seconds"] > 2.5
    stem = film.split("/")[-1][:-4]
    out = tmp_path / "bindplug-out"
    assert sorted(p.name for p in out.iterdir()) == [
        f"{stem}{e}" for e in (".json", ".mp4", ".png")
    ]
    silent = make_video("blue", seconds=1)
    result = run("detect", "--video", silent)
    assert result.exit_code == 2 and "has no sound" in result.stderr
    result = run("detect", "--video", silent, "--audio", media / "dog.wav")
    assert result.exit_code == 0, result.output
    assert np.array(Image.open(out / f"{silent.split('/')[-1][:-4]}.png")).std() > 0


def test_a_checkpoints_own_vocabulary(run, refused, media, monkeypatch):
    """Its rows are the prompts as they are; no bridge is crossed."""
    garden = media / "garden.png"
    refused("detect", garden, "--vocabulary", "own", words="no class names of its own")
    own = bindplug.load_embedder("small-clip", "cpu").embed(text=["a cat", "a dog"])
    monkeypatch.setattr("bindplug_detic.detector.DeticDetector.words", ("cat", "dog"))
    monkeypatch.setattr("bindplug_detic.detector.DeticDetector.word_rows", own.vectors)
    result = run("detect", garden, "--vocabulary", "own", "--threshold", 0.1, "--json", "-")
    data = json.loads(result.stdout)
    assert data["bridge"] == "identity" and data["competition"] == "none"
    want = bindplug.load_detector("detic", "small", "cpu").detect(str(garden), own, 0.1)
    assert [o["score"] for o in data["images"][0]["objects"]] == [
        round(float(s), 4) for s in want.scores
    ]
    assert {o["label"] for o in data["images"][0]["objects"]} <= {"cat", "dog"}


def test_one_video_a_call(refused):
    two = ("--video", "a.mp4", "--video", "b.mp4")
    refused("detect", *two, words="--video is given 2 times; give it once")


def test_what_resume_may_replace(run, refused, folder, media, tmp_path):
    ask = ("detect", "--audio", media / "rooster.wav", "--audio", media / "dog.wav", folder)
    (tmp_path / "r").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "r" / "1.png")  # nothing of bindplug's
    refused(*ask, "-o", "r", "--resume", words="r/1.png: exists")
    hand = tmp_path / "hand" / "labels" / "1.txt"
    hand.parent.mkdir(parents=True)
    hand.write_text("0 .5 .5 .1 .1\n")
    again = (*ask, "-o", "s", "--resume", "--yolo", "hand")
    refused(*again, words="hand/labels/1.txt: exists")
    hand.unlink()
    assert run(*again).exit_code == 0
    data = Path("hand/data.yaml").read_text()
    assert 'nc: 2\nnames:\n  0: "rooster"\n  1: "dog"\n' in data
    (tmp_path / "s" / "2.json").unlink()  # as a run that was stopped leaves it
    Path("hand/labels/2.txt").unlink()
    Path("hand/data.yaml").unlink()
    assert run(*again).exit_code == 0
    assert Path("hand/data.yaml").read_text() == data
    Path("hand/data.yaml").write_text("names: [mine]\n")
    refused(*again, words="hand/data.yaml: exists")
