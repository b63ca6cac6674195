"""Vocabularies, and text vectors that are kept."""

from pathlib import Path

import numpy as np
import pytest

import bindplug
from bindplug import BindplugError
from bindplug.bridge import text_cache as words
from bindplug.bridge.text_cache import kept, text_vectors
from bindplug.bridge.vocabulary import read_vocabulary


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("BINDPLUG_HOME", str(tmp_path / "home"))
    return bindplug.load_embedder("small", "cpu")


def test_vocabularies(tmp_path):
    assert len(read_vocabulary("default")) == 1003 and "dog" in read_vocabulary("sounding")
    assert (
        read_vocabulary("imagenet-1k")[0] == "tench" and len(read_vocabulary("imagenet-1k")) > 980
    )
    lvis = read_vocabulary("lvis")
    assert len(lvis) == 1203 and lvis[0] == "aerosol can" and lvis[-1] == "zucchini"
    (tmp_path / "v.txt").write_text("dog\n\n cat\ndog\n")
    assert read_vocabulary(str(tmp_path / "v.txt")) == ["dog", "cat"]
    (tmp_path / "v.txt").write_text("\n")
    for name, what in ((str(tmp_path / "v.txt"), "no words"), ("coco", "no vocabulary 'coco'")):
        with pytest.raises(BindplugError, match=what):
            read_vocabulary(name)


def test_texts_are_encoded_once(small, monkeypatch):
    texts = ["a dog", "a cat", "rain"] * 20
    want = text_vectors(small, texts)
    assert np.allclose(want, small.embed(text=texts).vectors, atol=1e-6)
    assert [row["texts"] for row in kept()] == [60]
    monkeypatch.setattr(small, "stream", None)  # would fail if asked
    left = Path(kept()[0]["file"] + ".parts")  # of a process killed while it tidied up
    left.mkdir()
    assert np.array_equal(text_vectors(small, texts), want) and not left.exists()
    other = bindplug.load_embedder("small-clip", "cpu")
    text_vectors(other, texts)
    assert [row["space"] for row in kept()].count("small-clip") == 1


def test_without_a_cache_nothing_is_lost(small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BINDPLUG_HOME", str(tmp_path / "file" / "home"))
    assert text_vectors(small, ["a dog"]).shape == (1, 256)
    assert words.kept() == []


def test_a_damaged_file_is_made_anew(small, caplog):
    want = text_vectors(small, ["a dog", "a cat"])
    files = sorted(words.words_folder().glob("*.safetensors"), key=lambda p: p.stat().st_mtime)
    files[-1].write_bytes(b"\0" * 40)
    assert np.array_equal(text_vectors(small, ["a dog", "a cat"]), want)
    assert "is damaged" in caplog.text


def test_old_files_make_room(small, monkeypatch):
    monkeypatch.setattr(words, "KEPT", 2)
    for text in ("one", "two", "three"):
        text_vectors(small, [text])
    assert len(list(words.words_folder().glob("*.safetensors"))) == 2


def test_an_unwritable_folder_only_means_that_nothing_is_kept(small, monkeypatch):
    want = text_vectors(small, ["a bird"])
    monkeypatch.setenv("BINDPLUG_HOME", "/dev/null/x")
    assert np.array_equal(text_vectors(small, ["a bird"]), want)


def test_a_text_that_cannot_be_read_is_named_and_nothing_kept(small):
    for _ in range(2):
        with pytest.raises(BindplugError, match="text '🐕' holds no word"):
            text_vectors(small, ["a dog", "🐕", "rain"])
        assert kept() == []
