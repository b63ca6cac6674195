"""Files are whole or not there; streams are written into; vectors are read whatever their dtype."""

import os
import threading

import numpy as np
import pytest

from bindplug import BindplugError
from bindplug.storage.atomic import write_file, write_json
from bindplug.storage.vector_file import map_vectors, read_metadata


def test_the_umask_and_an_old_mode_are_kept(tmp_path):
    old = os.umask(0o027)
    try:
        write_json(tmp_path / "a.json", {})
    finally:
        os.umask(old)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640
    (tmp_path / "a.json").chmod(0o600)
    write_json(tmp_path / "a.json", [])
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600


def test_an_exception_leaves_the_old_file_alone(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_file(tmp_path / "a", lambda f: 1 / 0)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_links_and_fifos_are_written_into(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "link").symlink_to("a")
    write_file(tmp_path / "link", lambda f: f.write(b"new"))
    assert (tmp_path / "link").is_symlink() and (tmp_path / "a").read_text() == "new"
    fifo, got = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()), daemon=True)
    reader.start()
    write_file(fifo, lambda f: f.write(b"through"))
    reader.join(5)
    assert got == [b"through"] and fifo.is_fifo()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_device_is_one_line():
    with pytest.raises(BindplugError, match="No space left"):
        write_file("/dev/full", lambda f: f.write(b"x"))


def test_vectors_of_other_dtypes_behind_other_tensors(tmp_path):
    from safetensors.numpy import save_file

    want = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float16)
    save_file({"a": np.arange(5.0), "vectors": want}, tmp_path / "x.safetensors")
    assert np.array_equal(map_vectors(tmp_path / "x.safetensors"), want.astype(np.float32))
    for read in (map_vectors, read_metadata):
        (tmp_path / "bad.safetensors").write_text("{}")
        with pytest.raises(BindplugError, match="no file of embeddings"):
            read(tmp_path / "bad.safetensors")
