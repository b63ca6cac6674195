"""Embeddings kept on disk by what they were made of."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from pathlib import Path

import numpy as np

from .errors import BindplugError


class Cache:
    """A SQLite file of embeddings, keyed by content, network and settings; processes may share it.

    Args:
        path: the file; it is made if it is not there.

    Raises:
        BindplugError: the file cannot be written, or is no such cache.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._local = threading.local()  # SQLite's connections belong to one thread
        self._connection()

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._local, "db"):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
                db.execute("PRAGMA journal_mode=WAL")
                db.execute(
                    "CREATE TABLE IF NOT EXISTS embeddings "
                    "(key TEXT PRIMARY KEY, width INTEGER, vectors BLOB, times TEXT)"
                )
            except (OSError, sqlite3.Error) as err:
                raise BindplugError(
                    f"{self.path}: cannot be used as an embedding cache ({err}); choose another"
                ) from err
            self._local.db = db
        return self._local.db

    def key(self, item, settings: str) -> str:
        """sha256 of an input's content and the settings.

        Raises:
            BindplugError: a file that is not there.
        """
        digest = hashlib.sha256(settings.encode())
        for part in item if isinstance(item, tuple) else (item,):
            digest.update(_content(part))
        return digest.hexdigest()

    def get(self, key: str) -> tuple[np.ndarray | None, tuple]:
        """((n, D) float32, times), or (None, ()) where there is nothing."""
        row = (
            self._connection()
            .execute("SELECT width, vectors, times FROM embeddings WHERE key = ?", (key,))
            .fetchone()
        )
        if row is None:
            return None, ()
        vectors = np.frombuffer(row[1], "<f4").reshape(-1, row[0])
        return vectors, tuple(tuple(t) for t in json.loads(row[2]))

    def put(self, key: str, vectors: np.ndarray, times: tuple) -> None:
        data = vectors.astype("<f4").tobytes()
        try:
            self._connection().execute(
                "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)",
                (key, vectors.shape[1], data, json.dumps(times)),
            )
        except sqlite3.Error as err:
            raise BindplugError(f"{self.path}: cannot be written ({err}); free some room") from err


def _content(item) -> bytes:
    """What an input is, as bytes: a file by what is in it."""
    if isinstance(item, os.PathLike) or (isinstance(item, str) and os.path.isfile(item)):
        try:
            with open(item, "rb") as file:
                return b"file" + hashlib.file_digest(file, "sha256").digest()
        except OSError as err:
            raise BindplugError(f"{os.fspath(item)}: cannot be read ({err.strerror})") from err
    if hasattr(item, "read"):
        data = item.read()
        item.seek(0)
        return b"file" + hashlib.sha256(data).digest()
    if hasattr(item, "__array__") or hasattr(item, "__array_interface__"):
        array = np.ascontiguousarray(np.asarray(item))
        return f"{array.shape} {array.dtype}".encode() + array.tobytes()
    return f"{type(item).__name__} {item!r}".encode()
