"""The exported folder, read by pandas, datasets, LanceDB and bindplug itself."""

import json

import numpy as np
import pytest

from bindplug import BindplugError
from bindplug.embedding import export as module
from bindplug.embedding import unit
from bindplug.embedding.export import export_index
from bindplug.embedding.index import Index
from bindplug.errors import FileExists, MissingDependency
from bindplug.storage.vector_file import read_metadata

ROWS, WIDTH = 11, 8
ABOUT = {"space": "small", "modality": "audio", "fingerprint": "abc float32"}


@pytest.fixture
def index():
    vectors = unit(np.random.default_rng(0).normal(size=(ROWS, WIDTH)))
    paths = [f"/sounds/{i}/dög {i}.wav" for i in range(ROWS - 1)] + ["/sounds/\udcff.wav"]
    return Index(paths, vectors, "small", (), "audio", "abc float32")


@pytest.fixture
def folder(index, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 4)  # several row groups
    assert export_index(index, tmp_path / "out").name == "vectors.parquet"
    return tmp_path / "out"


def test_pandas(index, folder):
    import pandas as pd

    frame = pd.read_parquet(folder)
    assert list(frame.columns) == ["path", "label", "modality", "vector"]
    assert np.array_equal(np.stack(frame["vector"]), index.vectors)
    assert frame["path"][:10].tolist() == index.paths[:10] and frame["label"][3] == "dög 3"
    assert frame["path"][10] == "/sounds/\\udcff.wav"  # no UTF-8
    assert frame.attrs == ABOUT


def test_datasets(index, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    data = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert data.features["vector"] == datasets.List(datasets.Value("float32"), length=WIDTH)
    read = np.asarray(data.with_format("numpy")["vector"][:])
    assert np.array_equal(read, index.vectors) and data[3]["path"] == index.paths[3]


def test_lancedb(index, folder, tmp_path):
    import lancedb
    import pyarrow.dataset as ds

    table = lancedb.connect(tmp_path / "db").create_table("sounds", ds.dataset(folder))
    metadata = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    assert {k: metadata[k] for k in ABOUT} == ABOUT
    found = table.search(index.vectors[6]).limit(3).to_list()  # the vector column is recognised
    assert found[0]["path"] == index.paths[6] and found[0]["_distance"] < 1e-6


def test_bindplug(folder):
    about = read_metadata(folder / "vectors.parquet")
    assert {k: about[k] for k in ABOUT} == ABOUT
    assert (about["rows"], about["width"]) == (ROWS, WIDTH)
    assert json.loads(about["PANDAS_ATTRS"]) == ABOUT


def test_nothing_is_overwritten_unasked(index, folder, monkeypatch):
    before = (folder / "vectors.parquet").read_bytes()
    with pytest.raises(FileExists):
        export_index(index, folder)
    assert (folder / "vectors.parquet").read_bytes() == before

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_parquet", fail)
        with pytest.raises(BindplugError, match=r"vectors\.parquet: cannot be written \(No space"):
            export_index(index, folder, overwrite=True)
    assert [p.name for p in folder.iterdir()] == ["vectors.parquet"]
    assert (folder / "vectors.parquet").read_bytes() == before
    export_index(index, folder, overwrite=True)
    (folder / "more.parquet").write_bytes(b"")
    with pytest.raises(BindplugError, match=r"holds more\.parquet, which would be read with"):
        export_index(index, folder, overwrite=True)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="pip install pyarrow"):
        export_index(index, folder / "new")
