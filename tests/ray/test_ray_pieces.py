"""Lists, results and the start of Ray, each by itself."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bindplug.cli import main
from bindplug.errors import BindplugError
from bindplug.ray import cluster
from bindplug.ray.inputs import ParquetList, open_inputs, read_items, write_inputs
from bindplug.ray.results import Rows, write_lance

WIDTH = 3


def write_rows(folder, number: int, index: list[int], failed: bool = False):
    """A file as an actor's rows become."""
    n = len(index)
    flat = pa.array(np.repeat(np.array(index, "f4"), WIDTH))
    vectors = pa.nulls(n) if failed else pa.FixedSizeListArray.from_arrays(flat, WIDTH)
    errors = pa.array(["bad"] * n if failed else [None] * n, pa.string())
    table = pa.table({"index": pa.array(index), "vector": vectors, "error": errors})
    pq.write_table(table, folder / f"{number}.parquet")


def test_inputs_survive_whatever_they_are_called(tmp_path):
    items = [("audio", "a b.wav"), ("text", "ein Hünd \ud83d"), ("image", os.fsdecode(b"\xff.png"))]
    write_inputs(tmp_path / "x.parquet", items * 5000)  # several row groups
    table = pq.read_table(tmp_path / "x.parquet")
    assert read_items(table) == items * 5000
    assert table["index"].to_pylist() == list(range(15_000))


def test_lists_of_paths(tmp_path):
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"path": ["a.wav", "b.JPG"]}), path)
    for _ in range(2):  # as often as wanted
        assert list(ParquetList(path)) == [("audio", "a.wav"), ("image", "b.JPG")]
    assert next(iter(open_inputs(path, "image"))) == ("image", "a.wav")
    assert open_inputs(["x.png"], "image") == [("image", "x.png")]
    pq.write_table(pa.table({"label": ["a dog"], "modality": ["text"], "error": ["x"]}), path)
    assert list(ParquetList(path)) == [("text", "a dog")]  # rows of a job, for another try
    for table, words in (
        ({"file": ["a"]}, "no column `path`; it has file"),
        ({"path": [None]}, "path is None"),
        ({"path": ["a.xyz"]}, "name the modality"),
        ({"path": ["a"], "modality": ["smell"]}, "smell"),
    ):
        pq.write_table(pa.table(table), path)
        with pytest.raises(BindplugError, match=words):
            list(ParquetList(path))
    path.write_text("no parquet")
    for bad in (path, tmp_path / "none.parquet"):
        with pytest.raises(BindplugError, match="cannot be read as parquet"):
            list(ParquetList(bad))
    pq.write_table(pa.table({"path": [f"{i}.wav" for i in range(5000)]}), path)
    data = path.read_bytes()
    path.write_bytes(data[:200] + bytes(200) + data[400:])
    with pytest.raises(BindplugError, match=r"list\.parquet: cannot be read further \(.+\)"):
        list(ParquetList(path))
    pq.write_table(pa.table({"path": ["h\u00e9.wav"]}), path, compression="none")
    path.write_bytes(path.read_bytes().replace(b"\xc3\xa9", b"\xe9\xe9"))  # no UTF-8
    with pytest.raises(BindplugError, match=r"list\.parquet: cannot be read further \(.+\)"):
        list(ParquetList(path))


def test_results_are_put_in_order_and_of_one_type(tmp_path):
    write_rows(tmp_path, 1, [4, 5])
    write_rows(tmp_path, 2, [0, 1], failed=True)
    write_rows(tmp_path, 3, [2, 3])
    rows = Rows.read(tmp_path, "vector")
    rows.check(6)
    assert rows.first_errors(1) == ("bad",) and set(rows.errors) == {0, 1}
    for _ in range(2):  # also after an interruption
        rows = Rows.read(tmp_path, "vector")
        rows.finish()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"part-{i:06d}.parquet" for i in range(3)]
    table = pq.read_table(tmp_path)
    assert table["index"].to_pylist() == list(range(6))
    assert table["vector"].to_pylist() == [None, None, *([float(i)] * WIDTH for i in range(2, 6))]


@pytest.mark.parametrize(("index", "words"), [
    ([0, 1], "1 are missing and 0 duplicated"),
    ([0, 1, 1, 2], "0 are missing and 1 duplicated"),
])  # fmt: skip
def test_lost_and_double_rows_are_found(tmp_path, index, words):
    write_rows(tmp_path, 1, index)
    with pytest.raises(BindplugError, match=words):
        Rows.read(tmp_path, "vector").check(3)


def test_lance(tmp_path):
    lance = pytest.importorskip("lance")
    write_rows(tmp_path, 1, [2, 3])
    write_rows(tmp_path, 2, [0, 1], failed=True)
    rows = Rows.read(tmp_path, "vector")
    rows.finish()
    table = lance.dataset(str(write_lance(rows.files, tmp_path / "x.lance"))).to_table()
    assert table["index"].to_pylist() == [0, 1, 2, 3]
    assert table["vector"].to_pylist() == [None, None, [2.0] * WIDTH, [3.0] * WIDTH]
    assert table.schema.field("vector").type == pa.list_(pa.float32(), WIDTH)


def test_a_long_folder_for_sockets(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + "x" * 60)
    with pytest.raises(BindplugError, match="is too long for Ray"):
        cluster._start(1, "cpu")


def test_a_cluster_that_is_not_there(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)  # of the Ray of other tests
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    words = "no Ray cluster answers"
    with pytest.raises(BindplugError, match=words), cluster.connected(1, "cpu"):
        pass


def test_what_ray_cannot_give():
    for actors, device, words in ((0, "cpu", "actors 0"), (1, "cuda:1", "for actors choose")):
        with pytest.raises(BindplugError, match=words), cluster.connected(actors, device):
            pass


@pytest.mark.parametrize(("arguments", "words"), [
    (["embed", "--text", "a", "--actors", "2"], "only --engine ray has actors; leave out --actors"),
    (["embed", "--engine", "ray", "--text", "a"], "needs -o"),
    (["embed", "--engine", "ray", "--text", "a", "-o", "x", "--shard", "0/2"], "leave out --shard"),
    (["detect", "--engine", "ray", "--text", "a", "x.png", "--json", "-"], "leave out --json"),
    (["detect", "--engine", "ray", "--text", "a"], "give images"),
    (["generate", "--engine", "ray", "--text", "a", "--mix", "1"], "leave out --mix"),
])  # fmt: skip
def test_options_that_do_not_go_together(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and words in result.stderr
    assert list(tmp_path.iterdir()) == []
