"""Every store gives what plain NumPy gives, follows its index, and heals."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bindplug
from bindplug import BindplugError, SpaceMismatch
from bindplug.embedding import unit
from bindplug.embedding.index import Index, index_folder
from bindplug.embedding.stores import nearest, open_store
from bindplug.embedding.stores.numpy_store import Store as NumpyStore
from bindplug.errors import MissingDependency

KEPT = ("faiss", "lancedb")
STORES = ("numpy", *KEPT)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("red", "green", "blue", "black"):
        Image.new("RGB", (32, 32), name).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def opened(tmp_path):
    """Make a store of some vectors, as for an index."""

    def make(name, vectors):
        index = tmp_path / "index.safetensors"
        index.write_bytes(vectors.tobytes())
        return open_store(name, index, vectors, [f"{i}.png" for i in range(len(vectors))])

    return make


def stores_of(tmp_path, name):
    return sorted((tmp_path / "home" / "index").glob(f"*.{name}"))


def found(index, query, top_k=10):
    return [(Path(path).name, score) for path, score in index.search(query, top_k)[0]]


@pytest.mark.parametrize("name", STORES)
def test_exact_to_the_last_row(opened, name):
    """Rows, order and cosines are those of a full float64 product."""
    rng = np.random.default_rng(0)
    vectors, queries = unit(rng.normal(size=(3000, 48))), unit(rng.normal(size=(5, 48)))
    store = opened(name, vectors)
    for query in queries:
        want = vectors.astype(np.float64) @ query.astype(np.float64)
        order = np.argsort(-want, kind="stable")
        for top_k in (1, 7, 2999, 3000, 5000):
            rows, cosines = nearest(store, vectors, query, top_k)
            assert rows.tolist() == order[:top_k].tolist()
            assert np.allclose(cosines, want[order[:top_k]], atol=1e-12)


@pytest.mark.parametrize("name", STORES)
def test_equal_rows_come_in_their_order(opened, name):
    """More equal rows than a store is asked for at first, and rows that differ by one bit."""
    rng = np.random.default_rng(1)
    vectors, query = unit(rng.normal(size=(500, 16))), unit(rng.normal(size=16))
    equal = np.sort(rng.choice(500, 203, replace=False))
    vectors[equal] = query
    longer = equal[[30, 100, 170]]
    vectors[longer] = np.nextafter(query, 2 * np.sign(query))  # by one bit in each component
    rows, cosines = nearest(opened(name, vectors), vectors, query, 50)
    assert rows.tolist() == [*longer, *np.setdiff1d(equal, longer)[:47]]
    assert (np.diff(cosines) <= 0).all()


def test_a_store_may_err_within_float32():
    """The order and the figures are the exact ones, whatever the store's own rounding."""

    class Rounding(NumpyStore):
        def propose(self, query, count):
            cosines = np.round(self.vectors @ query, 6)
            rows = np.argsort(-cosines, kind="stable")[:count]
            return rows, cosines[rows]

    rng = np.random.default_rng(2)
    vectors = unit(rng.normal(size=(1, 8)) + 1e-6 * rng.normal(size=(400, 8)))
    rows, _ = nearest(Rounding(vectors), vectors, vectors[5], 10)
    exact = (vectors.astype(np.float64) * vectors[5]).sum(axis=1)
    assert rows.tolist() == np.argsort(-exact, kind="stable")[:10].tolist()


@pytest.mark.parametrize("name", KEPT)
def test_a_store_follows_the_folder(small, folder, tmp_path, name):
    with Image.open(folder / "blue.png") as image:
        query = small.embed(image=image)
    want = found(index_folder(small, folder), query)
    assert found(index_folder(small, folder, store=name), query) == want
    [first] = stores_of(tmp_path, name)
    changed = first.stat().st_mtime_ns
    assert found(index_folder(small, folder, store=name), query, 99) == want
    assert first.stat().st_mtime_ns == changed  # used as it is

    Image.new("RGB", (32, 32), "white").save(folder / "white.png")  # added
    Image.new("RGB", (40, 40), "yellow").save(folder / "red.png")  # changed
    (folder / "green.png").unlink()  # deleted
    index = index_folder(small, folder, store=name)
    assert sorted(n for n, _ in found(index, query)) == [
        "black.png",
        "blue.png",
        "red.png",
        "white.png",
    ]
    assert found(index, query) == found(index_folder(small, folder), query) != want
    [second] = stores_of(tmp_path, name)
    assert second != first  # of which nothing is left

    (folder / "white.png").unlink()
    index_folder(small, folder)  # by the default store
    assert stores_of(tmp_path, name) == []


@pytest.mark.parametrize("name", KEPT)
def test_a_store_of_other_weights_is_not_used(small, folder, name):
    """The space's name is the same; the vectors are another network's."""
    query = small.embed(text="green")
    index_folder(small, folder, store=name)
    small.fingerprint = ""
    encode = small.network.encode
    small.network.encode = lambda *args: -encode(*args)
    turned = found(index_folder(small, folder, store=name), query)
    assert turned == found(index_folder(small, folder), query)
    with pytest.raises(SpaceMismatch, match="index is of 'small', the query of 'other'"):
        index_folder(small, folder, store=name).search(
            bindplug.Embedding(np.ones((1, 256)), "other", "text", ("x",))
        )


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def fill(path):
    path.write_bytes(b"nonsense" * (path.stat().st_size // 8))


@pytest.mark.parametrize("damage", [cut, fill, Path.unlink])
@pytest.mark.parametrize("name", KEPT)
def test_a_damaged_store_is_made_anew(small, folder, tmp_path, caplog, name, damage):
    query = small.embed(text="green")
    want = found(index_folder(small, folder, store=name), query)
    [store] = stores_of(tmp_path, name)
    if name == "lancedb":
        [data] = store.rglob("*.lance/data/*")
        damage(data)
    else:
        damage(store)
    (store.parent / f"{store.name}.part").write_bytes(b"of a process that was killed")
    assert found(index_folder(small, folder, store=name), query) == want
    missing = name == "faiss" and damage is Path.unlink
    assert ("is a damaged store" in caplog.text) != missing
    caplog.clear()
    assert found(index_folder(small, folder, store=name), query) == want
    assert not caplog.records
    assert [p.suffix for p in store.parent.iterdir() if p != store] == [".safetensors"]


@pytest.mark.parametrize("name", KEPT)
def test_a_store_of_other_vectors_is_not_believed(small, folder, tmp_path, caplog, name):
    """One that is sound in itself, under this index's name."""
    query = small.embed(text="green")
    want = found(index_folder(small, folder, store=name), query)
    [store] = stores_of(tmp_path, name)
    other = unit(np.random.default_rng(0).normal(size=(4, 256)))
    from bindplug.embedding import stores

    stores._remove(store)
    sys.modules[f"bindplug.embedding.stores.{name}_store"].write(store, other, list("abcd"))
    assert found(index_folder(small, folder, store=name), query) == want
    assert "does not find a vector of the index" in caplog.text


def test_a_store_that_is_lost_while_it_is_open(small, folder, tmp_path):
    index = index_folder(small, folder, store="lancedb")
    [store] = stores_of(tmp_path, "lancedb")
    [data] = store.rglob("*.lance/data/*")
    data.unlink()
    with pytest.raises(BindplugError, match=r"\.lancedb: cannot be searched .* search again"):
        index.search(small.embed(text="green"))


SEARCHER = """
import sys
import bindplug
from bindplug.embedding.index import index_folder
small = bindplug.load_embedder("small", "cpu")
query = small.embed(text="green")
print("ready", flush=True)
sys.stdin.readline()
for store in sys.argv[2:]:
    print(index_folder(small, sys.argv[1], store=store).search(query, 9))
"""


def test_two_processes_at_one_folder(small, folder, tmp_path):
    """Both make the stores of one new index; each finds the same, and one of each is left."""
    query = small.embed(text="green")
    command = [sys.executable, "-c", SEARCHER, str(folder), *KEPT]
    # In tmp_path, so that it imports the bindplug that is tested, not one in the current folder.
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    other = subprocess.Popen(command, cwd=tmp_path, text=True, **pipes)
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("\n")
    other.stdin.flush()
    answers = [index_folder(small, folder, store=name).search(query, 9) for name in KEPT]
    printed, _ = other.communicate(timeout=60)
    assert other.returncode == 0
    want = index_folder(small, folder).search(query, 9)
    assert answers == [want] * 2 and printed == f"{want}\n" * 2
    assert [len(stores_of(tmp_path, name)) for name in KEPT] == [1, 1]


def test_what_cannot_be_opened(small, folder, monkeypatch):
    with pytest.raises(BindplugError, match="no store 'redis'; choose numpy, faiss or lancedb"):
        index_folder(small, folder, store="redis")
    monkeypatch.setattr("bindplug.embedding.stores.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'bindplug\[faiss\]'"):
        index_folder(small, folder, store="faiss")
    index = Index(["a"], np.ones((1, 1), np.float32), "s")
    with pytest.raises(BindplugError, match="top_k must be at least 1"):
        index.search(bindplug.Embedding(np.ones((1, 1)), "s", "text", ("x",)), 0)


def test_a_store_that_cannot_be_written(small, folder, monkeypatch):
    from bindplug.embedding.stores import faiss_store

    def full(*_):
        raise RuntimeError("write error: No space left on device")

    monkeypatch.setattr(faiss_store.faiss, "write_index", full)
    with pytest.raises(BindplugError, match=r"\.faiss: cannot be written \(write error: No space"):
        index_folder(small, folder, store="faiss")
