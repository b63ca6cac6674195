"""Embeddings kept on disk by the content that they were computed from."""

import hashlib
import json
import logging
import os
import sqlite3
import threading
from pathlib import Path

import numpy as np

from .errors import BindplugError

log = logging.getLogger("bindplug")
APPLICATION = 0x62706C67  # SQLite's application_id, big-endian in bytes 68 to 72 of a file: "bplg"
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Cache:
    """A SQLite file of embeddings, keyed by content, network and settings; processes may share it.

    A damaged cache is set aside as `PATH.damaged` and made anew, with a warning. It grows without
    a bound; delete the file to be rid of it.

    Args:
        path: the file; it is made if it is not there.

    Raises BindplugError: the file cannot be written, or is something else than such a cache."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._run("SELECT 1")

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(
                self.path, timeout=60, isolation_level=None, check_same_thread=False
            )
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            if tables and "embeddings" not in tables:
                raise sqlite3.Error("it is the database of another program")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(f"PRAGMA application_id={APPLICATION}")
            db.execute(
                "CREATE TABLE IF NOT EXISTS embeddings "
                "(key TEXT PRIMARY KEY, width INTEGER, vectors BLOB, times TEXT)"
            )
            self._db = db
        return self._db

    def _run(self, sql: str, values: tuple = ()) -> tuple | None:
        """The first row that a statement gives."""
        try:
            with self._lock:
                try:
                    return self._connection().execute(sql, values).fetchone()
                except sqlite3.DatabaseError as err:
                    if getattr(err, "sqlite_errorcode", 0) & 0xFF not in DAMAGED:
                        raise
                    self._renew(err)
                    return self._connection().execute(sql, values).fetchone()
        except (OSError, sqlite3.Error) as err:
            raise BindplugError(
                f"{self.path}: cannot be used as an embedding cache ({err}); choose another"
            ) from err

    def _renew(self, err: Exception) -> None:
        with self.path.open("rb") as file:
            if file.read(72)[68:] != APPLICATION.to_bytes(4, "big"):  # not ours to replace
                raise err
        log.warning("%s: is damaged (%s); it is rebuilt", self.path, err)
        for ending in ("-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)
        os.replace(self.path, f"{self.path}.damaged")
        self._db = None

    def key(self, modality: str, item, settings: str) -> str | None:
        """sha256 of an input's content and the settings; None for what cannot be known without
        using it up (a pipe, a socket) or is of no known kind, and then it is not cached.

        Args:
            item: as in `Embedder.embed`: a `str` is the text itself for "text" and a path for
                other modalities.
        """
        try:
            content = _text(item) if modality == "text" and isinstance(item, str) else _hash(item)
        except Exception:  # what cannot be read is reported by the one who reads it
            return None
        return hashlib.sha256(f"{modality}\n{settings}\n".encode() + content).hexdigest()

    def get(self, key: str) -> tuple[np.ndarray | None, tuple]:
        """((n, D) float32, times), or (None, ()) where there is nothing."""
        row = self._run("SELECT width, vectors, times FROM embeddings WHERE key = ?", (key,))
        if row is None:
            return None, ()
        try:
            vectors = np.frombuffer(row[1], "<f4").reshape(-1, row[0])
            return vectors, tuple(tuple(t) for t in json.loads(row[2]))
        except (TypeError, ValueError):  # a damaged one
            return None, ()

    def put(self, key: str, vectors: np.ndarray, times: tuple) -> None:
        """Keep (n, D) vectors; BindplugError where they cannot be written."""
        row = (key, vectors.shape[1], vectors.astype("<f4").tobytes(), json.dumps(times))
        self._run("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)", row)


def _text(text: str) -> bytes:
    return hashlib.sha256(b"text" + text.encode("utf-8", "surrogatepass")).digest()


def _hash(item) -> bytes:
    """sha256 of what an input is: its kind, then its content; any Exception where that cannot be
    known."""
    if isinstance(item, (str, os.PathLike)):
        if not os.path.isfile(item):
            raise ValueError("no regular file")
        with open(item, "rb") as file:
            head = f"file {Path(item).suffix.lower()}"
            data = hashlib.file_digest(file, "sha256").digest()
    elif isinstance(item, dict):
        head, data = "dict", b"".join(_text(str(k)) + _hash(v) for k, v in sorted(item.items()))
    elif isinstance(item, (tuple, list)):
        head, data = type(item).__name__, b"".join(map(_hash, item))
    elif item is None or isinstance(item, (bool, int, float)):
        head, data = type(item).__name__, repr(item).encode()
    elif hasattr(item, "getexif"):  # PIL
        meaning = (item.getpalette(), item.info.get("transparency"), item.getexif().get(0x0112))
        head, data = f"image {item.mode} {item.size} {meaning}", item.tobytes()
    elif hasattr(item, "detach") and hasattr(item, "dtype"):  # torch
        import torch

        data = item.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        head = f"{item.dtype} {tuple(item.shape)}"
    elif hasattr(item, "read"):
        item.seek(0)
        head, data = "file", hashlib.file_digest(item, "sha256").digest()
        item.seek(0)
    else:
        array = np.asarray(item)
        if array.dtype.hasobject:
            raise ValueError(f"a {type(item).__name__}")
        head, data = f"{array.dtype.str} {array.shape}", np.ascontiguousarray(array).tobytes()
    return hashlib.sha256(hashlib.sha256(head.encode()).digest() + data).digest()
