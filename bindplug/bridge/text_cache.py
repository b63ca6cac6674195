"""Vocabularies, and text vectors that are encoded once and kept."""

import hashlib
import json
import logging
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..embedding.jobs import embed_files, remove_parts
from ..errors import BindplugError
from ..storage.cache_dir import cache_dir, cache_folder
from ..storage.locks import locked
from ..storage.vector_file import map_vectors, read_metadata

log = logging.getLogger("bindplug")
KEPT = 200  # files


def words_folder() -> Path:
    """Where text vectors are kept."""
    return cache_dir() / "words"


def text_vectors(embedder, texts: list[str], progress: bool = False) -> np.ndarray:
    """(N, D) unit vectors of texts; looked up where the same network has encoded the same texts.

    An interrupted encoding goes on. An embedder without a `fingerprint`, or a cache that cannot be
    written, only means that nothing is kept. Raises BindplugError: a text cannot be read."""
    try:
        folder = embedder.fingerprint and cache_folder("words")
    except BindplugError:
        folder = None
    if not folder:
        return embedder.embed(text=texts).vectors
    key = json.dumps([embedder.space, embedder.fingerprint, *texts])
    path = folder / (hashlib.sha256(key.encode()).hexdigest()[:16] + ".safetensors")
    with locked(path.with_suffix(".words")):
        vectors = _read(path, len(texts))
        if vectors is None:
            items = [("text", text) for text in texts]
            report = embed_files(embedder, items, path, overwrite=True, progress=progress)
            if report.errors:
                path.unlink()
                raise BindplugError(report.errors[0])
            vectors = _read(path, len(texts))
        else:
            remove_parts(path)
    with suppress(OSError):  # another process may be making room
        files = sorted(folder.glob("*.safetensors"), key=lambda p: p.stat().st_mtime)
        for old in files[:-KEPT]:
            old.unlink(missing_ok=True)
    return vectors


def _read(path: Path, rows: int) -> np.ndarray | None:
    """A kept file's (rows, D) vectors; None where there is none, or a damaged one."""
    if path.exists():
        with suppress(BindplugError):
            vectors = np.array(map_vectors(path))
            if len(vectors) == rows:
                return vectors
        log.warning("%s: is damaged; it is rebuilt", path)
    return None


def kept() -> list[dict]:
    """What is kept: `file`, `space`, number of `texts`, and the first ones."""
    out = []
    for path in sorted(words_folder().glob("*.safetensors")):
        metadata = read_metadata(path)
        space, texts = metadata["space"], metadata["labels"]
        out.append({"file": str(path), "space": space, "texts": len(texts), "first": texts[:4]})
    return out
