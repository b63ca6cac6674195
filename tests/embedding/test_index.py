"""An index that is made once, follows its folder, and ranks exactly."""

import os

import numpy as np
import pytest
from PIL import Image

import bindplug
from bindplug import BindplugError, SpaceMismatch
from bindplug.embedding import unit
from bindplug.embedding.index import Index, index_folder


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for name in ("red", "green", "blue", "sub/black"):
        Image.new("RGB", (32, 32), name.split("/")[-1]).save(folder / f"{name}.png")
    (folder / "broken.png").write_text("no picture")
    return folder


def names(index):
    return sorted(os.path.basename(p) for p in index.paths)


def test_the_nearest_are_exact():
    rng = np.random.default_rng(0)
    vectors, queries = (unit(rng.normal(size=(n, 16))) for n in (5000, 3))
    index = Index([str(i) for i in range(5000)], vectors, "s")
    found = index.search(bindplug.Embedding(queries, "s", "text", tuple("abc")), 7)
    want = np.argsort(-(queries @ vectors.T), axis=1)[:, :7]
    assert [[int(path) for path, _ in row] for row in found] == want.tolist()
    scores = [[score for _, score in row] for row in found]
    assert np.allclose(scores, np.take_along_axis(queries @ vectors.T, want, 1), atol=1e-5)


def test_the_index_follows_the_folder(small, folder, tmp_path, monkeypatch):
    index = index_folder(small, folder)
    assert names(index) == ["black.png", "blue.png", "green.png", "red.png"]
    assert len(index.errors) == 1 and "broken.png" in index.errors[0]
    with Image.open(folder / "blue.png") as image:
        query = small.embed(image=image)
    [(path, score), *_] = index.search(query, 2)[0]
    assert path.endswith("blue.png") and score == pytest.approx(1, abs=1e-5)

    read = []
    stream = small.stream

    def watched(modality, items, **kw):
        items = list(items)
        read.extend(os.path.basename(i) for i in items)
        return stream(modality, items, **kw)

    monkeypatch.setattr(small, "stream", watched)
    [kept] = (tmp_path / "home" / "index").iterdir()
    new = kept.with_suffix(".new.safetensors")  # of a process killed while it tidied up
    new.write_bytes(kept.read_bytes())
    new.with_name(f"{new.name}.parts").mkdir()
    assert names(index_folder(small, folder)) == names(index) and read == []
    assert [*kept.parent.iterdir()] == [kept]
    (folder / "red.png").unlink()
    Image.new("RGB", (32, 32), "white").save(folder / "white.png")
    again = index_folder(small, folder)
    assert names(again) == ["black.png", "blue.png", "green.png", "white.png"]
    assert read == ["white.png"] and len(again.errors) == 1
    row = again.paths.index(str(folder / "blue.png"))
    assert np.allclose(again.vectors[row], query.vectors[0], atol=1e-5)
    with pytest.raises(SpaceMismatch):
        again.search(bindplug.Embedding(np.ones((1, 256)), "other", "text", ("x",)))


def test_the_index_of_an_unknown_network_is_not_kept(small, folder):
    """Its next call may be another network of the same space."""
    first = np.array(index_folder(small, folder).vectors)
    small.fingerprint = ""
    unknown = index_folder(small, folder)
    assert np.allclose(unknown.vectors, first, atol=1e-6)
    encode = small.network.encode
    small.network.encode = lambda *args: -encode(*args)
    assert np.allclose(index_folder(small, folder).vectors, -first, atol=1e-6)


def test_what_cannot_be_searched(small, folder, tmp_path):
    with pytest.raises(BindplugError, match="is not a folder"):
        index_folder(small, folder / "red.png")
    with pytest.raises(BindplugError, match="without audio files"):
        index_folder(small, folder, "audio")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_text("no picture")
    with pytest.raises(BindplugError, match="not an image"):
        index_folder(small, tmp_path / "bad")
