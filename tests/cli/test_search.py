"""search with its stores, and the export of what it indexes."""

import json

import pytest
from PIL import Image


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("BINDPLUG_HOME", str(tmp_path / "home"))
    (tmp_path / "p").mkdir()
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (32, 32), colour).save(tmp_path / "p" / f"{colour}.png")
    return tmp_path / "p"


def test_every_store_answers_alike(run, pictures):
    answers = []
    for store in ("numpy", "faiss", "lancedb"):
        result = run("search", "p", "--image", pictures / "red.png", "--store", store)
        assert result.exit_code == 0, result.output
        answers.append(result.stdout)
    assert answers[0].startswith("1.0000  ") and answers[0].count("\n") == 3
    assert answers == answers[:1] * 3


def test_export(run, refused, pictures):
    import pandas as pd

    result = run("search", "p", "--export", "out")
    assert result.exit_code == 0 and result.stdout == "", result.output
    assert "3 x 256 of 'small' -> out/vectors.parquet" in result.stderr
    frame = pd.read_parquet("out")
    assert frame["label"].tolist() == ["blue", "green", "red"]
    refused("search", "p", "--export", "out", words="vectors.parquet: exists; add --overwrite")
    (pictures / "blue.png").unlink()
    both = ("--text", "red", "--export", "out", "--overwrite", "--json", "-")
    result = run("search", "p", *both)
    assert len(json.loads(result.stdout)["results"]) == 2
    assert pd.read_parquet("out")["label"].tolist() == ["green", "red"]


def test_two_outputs_in_one_place(refused, pictures):
    both = ("--export", "out", "--json", "out/vectors.parquet", "--overwrite")
    refused("search", "p", "--text", "red", *both, words="two outputs would be written to it")


def test_what_is_refused(run, refused, pictures):
    refused("search", "p", "--text", "a", "--store", "redis", words="no store 'redis'")
    refused("search", "p", "--store", "faiss", words="give a prompt")
    for option in (("--top-k", "2"), ("--mix", "1"), ("--json", "-"), ("--store", "faiss")):
        words = f"nothing is searched for; leave out {option[0]}"
        refused("search", "p", "--export", "out", *option, words=words)


def test_options_are_of_the_searched_files_too(run, refused, pictures):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    turned = Image.linear_gradient("L").convert("RGB")
    turned.save(pictures / "phone.jpg", exif=exif)
    ask = ("search", "p", "--image", pictures / "phone.jpg", "--top-k", "1")
    for options in ((), ("--option", "upright=true"), ()):
        result = run(*ask, *options)
        assert result.stdout.startswith("1.0000") and "phone.jpg" in result.stdout, result.output
    result = run("search", "p", "--text", "a", "--option", "upright=true")
    assert result.exit_code == 0, result.output
    refused(*ask, "--option", "upright=flase", words="no upright 'flase'; choose True or False")
    refused("search", "p", "--text", "a", "--option", "rate=2", words="image, text has")
