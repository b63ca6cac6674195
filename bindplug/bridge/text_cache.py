"""Vocabularies, and text vectors that are encoded once and kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ..embedding.jobs import embed_files
from ..storage.cache_dir import cache_dir
from ..storage.vector_file import map_vectors, read_metadata


def words_folder() -> Path:
    """Where text vectors are kept."""
    return cache_dir() / "words"


def text_vectors(embedder, texts: list[str], progress: bool = False) -> np.ndarray:
    """(N, D) unit vectors of texts; looked up where the same network has encoded the same texts.

    An interrupted encoding goes on. An embedder without a `fingerprint`, or a cache that cannot be
    written, only means that nothing is kept.
    """
    fingerprint = embedder.fingerprint
    if not fingerprint:
        return embedder.embed(text=texts).vectors
    key = "\n".join([embedder.space, fingerprint, *texts])
    path = words_folder() / (hashlib.sha256(key.encode()).hexdigest()[:16] + ".safetensors")
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            return embedder.embed(text=texts).vectors
        embed_files(embedder, [("text", t) for t in texts], path, progress=progress)
    return np.array(map_vectors(path))


def kept() -> list[dict]:
    """What is kept: `file`, `space`, number of `texts`, and the first ones."""
    out = []
    for path in sorted(words_folder().glob("*.safetensors")):
        metadata = read_metadata(path)
        labels = metadata["labels"]
        out.append(
            {
                "file": str(path),
                "space": metadata["space"],
                "texts": len(labels),
                "first": labels[:4],
            }
        )
    return out
