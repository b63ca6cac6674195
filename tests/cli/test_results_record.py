"""`bindplug detect`: results know what they were made from, and replace nothing else."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from bindplug.cli.output import unique_stems
from bindplug.storage.names import STEM


@pytest.fixture
def things(tmp_path, media):
    """dog.wav, cat.wav and a.png in the folder of the test; other.png to put in a.png's place."""
    for name in ("dog.wav", "cat.wav"):
        shutil.copy(media / name, tmp_path / name)
    for name, source in (("a", "garden"), ("other", "farm")):
        Image.open(media / f"{source}.png").convert("RGB").save(tmp_path / f"{name}.png")
    return tmp_path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


BASE = ("detect", "a.png", "--audio", "dog.wav", "-o", "r")


@pytest.mark.parametrize("more", [(), ("--no-overlay",)])
def test_what_a_result_was_made_from(more, run, things):
    result = run(
        *BASE, "--negative-text", "a cat", "--threshold", 0.05, *more, "--json", "all.json"
    )
    assert result.exit_code == 0, result.output
    names = ["a.json"] if more else ["a.json", "a.png"]
    assert sorted(p.name for p in (things / "r").iterdir()) == names
    data = json.loads((things / "r" / "a.json").read_text())
    made = data["made_from"]
    assert made["prompts"] == [
        {"modality": "audio", "value": "dog.wav", "sha256": sha256(things / "dog.wav")}
    ]
    text = hashlib.sha256(b"a cat").hexdigest()
    assert made["negatives"] == [{"modality": "text", "value": "a cat", "sha256": text}]
    assert made["embedder"] and made["detector"] and made["masker"] is None
    assert made["settings"]["threshold"] == 0.05 and made["settings"]["dtype"] == "float32"
    [image] = data["images"]
    assert image["image"] == "a.png" and image["sha256"] == sha256(things / "a.png")
    assert json.loads((things / "all.json").read_text()) == data


def test_no_overlay_writes_no_folder_unasked(run, things):
    assert run("detect", "a.png", "--audio", "dog.wav", "--no-overlay").exit_code == 0
    assert not (things / "bindplug-out").exists()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (("detect", "a.png", "--audio", "cat.wav", "-o", "r"), "prompts"),
        ((*BASE, "--text", "a dog"), "prompts"),
        ((*BASE, "--mix", "-1"), "mix"),
        ((*BASE, "--threshold", "0.01"), "threshold"),
        ((*BASE, "--top-k", "3"), "top_k"),
        ((*BASE, "--negative-text", "a cat"), "negatives"),
        ((*BASE, "--competition", "none"), "competition"),
        ((*BASE, "--vocabulary", "v.txt"), "vocabulary"),
        ((*BASE, "--option", "clips=all"), "clips"),
        ((*BASE, "--bridge", "crops"), "bridge"),
        ((*BASE, "--dtype", "bfloat16"), "dtype"),
    ],
)
def test_resume_refuses_results_of_another_question(other, named, run, refused, things):
    (things / "v.txt").write_text("dog\ncat\n")
    assert run(*BASE).exit_code == 0
    before = (things / "r" / "a.json").read_bytes()
    result = refused(*other, "--resume", words="r/a.json: was made from other prompts, models or")
    assert named in result.stderr
    assert (things / "r" / "a.json").read_bytes() == before
    result = run(*other, "--resume", "--overwrite", "--json", "j.json")
    assert result.exit_code == 0, result.output
    shutil.rmtree(things / "r")
    assert run(*other, "--json", "fresh.json").exit_code == 0
    assert (things / "j.json").read_text() == (things / "fresh.json").read_text()


def test_resume_of_prompts_and_models_of_other_content(run, refused, things, monkeypatch):
    assert run(*BASE).exit_code == 0
    shutil.copy(things / "cat.wav", things / "dog.wav")
    refused(*BASE, "--resume", words="(prompts)")
    assert run(*BASE, "--overwrite").exit_code == 0
    file = things / "r" / "a.json"
    data = json.loads(file.read_text())
    data["made_from"]["embedder"] = "another"
    file.write_text(json.dumps(data))
    refused(*BASE, "--resume", words="(embedder)")
    del data["made_from"]  # as earlier versions wrote it
    file.write_text(json.dumps(data))
    refused(*BASE, "--resume", words="(made_from)")
    file.write_text("[]")
    refused(*BASE, "--resume", words="r/a.json: cannot be read")


def test_resume_searches_a_changed_image_again(run, refused, things):
    assert run(*BASE, "--threshold", 0).exit_code == 0
    shutil.copy(things / "other.png", things / "a.png")
    result = run(*BASE, "--threshold", 0, "--resume", "--json", "j.json")
    assert result.exit_code == 0 and "done already" not in result.stderr
    assert run(*BASE, "--threshold", 0, "-o", "n", "--json", "n.json").exit_code == 0
    assert (things / "j.json").read_text() == (things / "n.json").read_text()
    assert "done already" in run(*BASE, "--threshold", 0, "--resume").stderr
    (things / "sub").mkdir()
    Image.new("RGB", (60, 40)).save(things / "sub" / "a.png")
    refused(
        "detect",
        "sub/a.png",
        *BASE[2:],
        "--threshold",
        0,
        "--resume",
        words="is the result of a.png",
    )


def test_resume_makes_the_overlay_that_is_missing(run, things):
    assert run(*BASE, "--no-overlay").exit_code == 0
    assert run(*BASE, "--resume").exit_code == 0
    assert (things / "r" / "a.png").exists()


def test_one_result_for_each_input(run, things):
    paths = ["p/a.png", "p/q/a.png", "p/a_2.png"]
    for i, path in enumerate(paths):
        (things / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60 + i, 40), "green").save(things / path)
    assert run("detect", "--audio", "dog.wav", *paths, "-o", "r").exit_code == 0
    found = [json.loads(p.read_text())["images"][0] for p in (things / "r").glob("*.json")]
    assert {i["image"]: i["width"] for i in found} == dict(zip(paths, (60, 61, 62), strict=True))


def test_stems():
    assert unique_stems(["a", "b/a", "a_2", "c/a", "a_2.x"]) == ["a", "a_3", "a_2", "a_4", "a_2_2"]
    long = ["+".join(["a very long name é"] * 20) + str(i) for i in range(2)]
    stems = unique_stems(long)
    assert len(set(stems)) == 2 and all(len(os.fsencode(s)) <= STEM for s in stems)
    assert unique_stems([os.fsdecode(b"caf\xe9.png")]) == [os.fsdecode(b"caf\xe9")]
    assert len(set(unique_stems(["x"] * 2000))) == 2000


def test_no_result_replaces_an_input(refused, things):
    before = (things / "a.png").read_bytes()
    always = ("--overwrite", "--threshold", 0)
    refused("detect", "--audio", "dog.wav", "a.png", "-o", ".", *always, words="replace the input")
    refused("detect", "--image", "a.png", "other.png", "--json", "a.png", *always,
            words="replace the input a.png")  # fmt: skip
    (things / "r").mkdir()
    os.link(things / "a.png", things / "r" / "other.png")
    refused("detect", "--audio", "dog.wav", "a.png", "other.png", "-o", "r", *always,
            words="r/other.png: would replace the input a.png")  # fmt: skip
    assert (things / "a.png").read_bytes() == before


def test_own_results_are_no_inputs(run, refused, things):
    (things / "other.png").unlink()
    for more in ((), ("--overwrite",), ("-o", "r"), ("-o", "r", "--overwrite")):
        result = run("detect", "--audio", "dog.wav", ".", "--json", "-", *more)
        assert result.exit_code == 0, result.output
        assert [i["image"] for i in json.loads(result.stdout)["images"]] == ["a.png"]
    (things / "a.json").write_text('{"width": 3}')  # somebody else's
    result = run("detect", "--audio", "dog.wav", ".", "--json", "-", "--no-overlay")
    assert [i["image"] for i in json.loads(result.stdout)["images"]] == ["a.png"]
    refused("detect", "--audio", "dog.wav", "r", words="only images that bindplug wrote")
    assert run("detect", "--audio", "dog.wav", "r/a.png", "--no-overlay").exit_code == 0


def test_an_unreadable_prompt_of_a_video_is_told(run, make_video, things):
    film = make_video("green", seconds=1)
    asked = ("detect", "--video", film, "--audio", "dog.wav", "--audio", "absent.wav")
    assert run(*asked).exit_code == 2
    assert run(*asked, "--keep-going", "--overwrite").exit_code == 5


def test_scores_are_of_the_prompt_that_is_named(run, things):
    """A resumed run never gives one prompt's objects under another's name."""
    assert run(*BASE, "--threshold", 0, "--json", "dog.json").exit_code == 0
    result = run("detect", "a.png", "--audio", "cat.wav", "-o", "r", "--threshold", 0, "--resume",
                 "--overwrite", "--json", "cat.json")  # fmt: skip
    assert result.exit_code == 0
    dog, cat = (
        [o["score"] for o in json.loads((things / f"{n}.json").read_text())["images"][0]["objects"]]
        for n in ("dog", "cat")
    )
    assert not np.array_equal(dog, cat)


def test_a_photo_beside_the_json_of_its_own_name_is_no_result(run, things):
    """Results written among the photos: their JSONs are not the photos' overlays."""
    photos = things / "photos"
    photos.mkdir()
    Image.open(things / "a.png").save(photos / "a.png")
    Image.open(things / "other.png").save(photos / "b.jpg")
    asked = ("detect", "--audio", "dog.wav", "photos", "--json", "-")

    def images(*more):
        result = run(*asked, *more)
        assert result.exit_code == 0, result.output
        return [i["image"] for i in json.loads(result.stdout)["images"]]

    both = ["photos/a.png", "photos/b.jpg"]
    assert images("--no-overlay", "-o", "photos") == both
    assert images("--no-overlay", "-o", "photos", "--overwrite") == both
    Image.open(things / "other.png").save(photos / "a.png")  # edited since
    assert images("--no-overlay", "-o", "photos", "--resume") == both
    assert images("--no-overlay", "-o", "photos", "--threshold", 0, "--overwrite") == both
    shutil.copy(photos / "a.png", photos / "c.png")
    run("detect", "--audio", "dog.wav", "other.png", "a.png", "--no-overlay", "--json",
        "photos/c.json")  # fmt: skip
    assert images("--no-overlay") == [*both, "photos/c.png"]


def test_overlays_timelines_and_generated_images_are_results(run, things, make_video):
    out = things / "out"
    film = make_video("green", seconds=1)
    calls = (
        ("detect", "--audio", "dog.wav", "a.png"),
        ("detect", "--audio", "dog.wav", "--video", film),
        ("generate", "--audio", "cat.wav", "--steps", 1, "--candidates", 1),
    )
    for call in calls:
        result = run(*call, "-o", out)
        assert result.exit_code == 0, result.output
    Image.open(things / "other.png").save(out / "photo.png")
    Image.open(things / "other.png").save(out / "cat_0000.jpg")  # whose JSON is another's
    result = run("detect", "--audio", "dog.wav", "out", "--no-overlay", "--json", "-")
    images = [i["image"] for i in json.loads(result.stdout)["images"]]
    assert images == ["out/cat_0000.jpg", "out/photo.png"]
