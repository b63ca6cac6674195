"""A cached embedding is the plain one, whatever the input is."""

import io
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from bindplug import BindplugError
from bindplug.cache import Cache


def test_keys_are_of_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = Cache("c.db")
    for name in ("dog", "cat"):
        open(name, "w").close()

    def key(item, modality="audio"):
        return cache.key(modality, item, "s")

    assert key("dog", "text") != key("cat", "text") and key("dog") == key("cat")
    a, b = io.BytesIO(b"one"), io.BytesIO(b"two")
    a.read(), b.read()
    assert key(a) != key(b) and key(a) == key(io.BytesIO(b"one"))
    assert key(np.zeros(2, "<i2")) != key(np.zeros(1, "<i4"))
    image = Image.new("RGB", (4, 4), "red")
    turned = image.copy()
    turned.getexif()[0x0112] = 6
    assert key(image) != key(turned) and key(image) == key(image.copy())
    assert key("absent.wav") is None and key(object()) is None


def test_damaged_is_renewed_and_foreign_is_refused(tmp_path, caplog):
    path = tmp_path / "c.db"
    Cache(path).put("k", np.ones((1, 4), np.float32), ())
    with closing(sqlite3.connect(path)) as db:  # everything out of the log, into the file
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    path.write_bytes(data)
    assert Cache(path).get("k") == (None, ()) and "is rebuilt" in caplog.text
    (tmp_path / "foreign").write_text("no cache" * 30)
    with pytest.raises(BindplugError, match="choose another"):
        Cache(tmp_path / "foreign")
    assert (tmp_path / "foreign").read_text() == "no cache" * 30
