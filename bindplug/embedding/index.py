"""A folder's files by meaning: embed them once, then rank them by cosine."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from ..errors import BindplugError, SpaceMismatch
from ..storage.cache_dir import cache_dir
from ..storage.vector_file import map_vectors, read_metadata, write_vectors
from .inputs import expand
from .jobs import embed_files
from .vectors import Embedding

BLOCK = 65_536  # rows scored at once


class Index:
    """Files and their vectors.

    Attributes:
        paths: of the files.
        vectors: (N, D) float32 unit rows, memory-mapped.
        space: of the vectors.
        errors: why files were left out.
    """

    def __init__(self, paths: list[str], vectors: np.ndarray, space: str, errors=()):
        self.paths, self.vectors, self.space, self.errors = paths, vectors, space, tuple(errors)

    def __len__(self) -> int:
        return len(self.paths)

    def search(self, query: Embedding, top_k: int = 10) -> list[list[tuple[str, float]]]:
        """For each row of a query its nearest files and cosines, best first; exact.

        Raises:
            SpaceMismatch: a query of another space.
        """
        if query.space != self.space:
            raise SpaceMismatch(f"the index is of {self.space!r}, the query of {query.space!r}")
        ids, scores = nearest(query.vectors, self.vectors, min(top_k, len(self)))
        return [
            [(self.paths[i], float(s)) for i, s in zip(*row, strict=True)]
            for row in zip(ids, scores, strict=True)
        ]


def nearest(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(Q, k) row numbers and cosines, best first; by faiss where it is installed."""
    try:
        import faiss

        scores, ids = faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
        return ids, scores
    except ImportError:
        pass
    best_ids = np.zeros((len(queries), 0), np.int64)
    best = np.zeros((len(queries), 0), np.float32)
    for start in range(0, len(vectors), BLOCK):
        scores = queries @ np.asarray(vectors[start : start + BLOCK]).T
        ids = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        best = np.concatenate([best, scores], axis=1)
        best_ids = np.concatenate([best_ids, ids], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(best, order, 1)
        best_ids = np.take_along_axis(best_ids, order, 1)
    return best_ids, best


def index_folder(embedder, folder: str | Path, modality: str = "image", progress=False) -> Index:
    """Embed a folder's files of one sense; those of an earlier call are not embedded again.

    The index is kept in `bindplug.weights.home()/index`.

    Raises:
        BindplugError: no such folder, or no file of this sense that can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BindplugError(f"{folder}: is no folder; give the one to search in")
    files = {p: _state(p) for p in expand(modality, str(folder.resolve()))}
    key = f"{folder.resolve()}\n{modality}\n{embedder.space}\n{embedder.fingerprint}"
    path = cache_dir() / "index" / (hashlib.sha256(key.encode()).hexdigest()[:16] + ".safetensors")
    old_paths, old_vectors, old_errors = [], None, {}
    if path.exists():
        metadata = read_metadata(path)
        old_vectors, old_errors = map_vectors(path), json.loads(metadata["unread"])
        states = json.loads(metadata["states"])
        old_paths = metadata["labels"]
        if states == files:
            return Index(old_paths, old_vectors, embedder.space, old_errors.values())
        known = {p for p, s in states.items() if files.get(p) == s}
    else:
        known = set()
    kept = {p: old_vectors[i] for i, p in enumerate(old_paths) if p in known}
    unread = {p: e for p, e in old_errors.items() if p in known}
    new = [p for p in files if p not in known]
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".new.safetensors")
        if embed_new(embedder, modality, new, part, progress, unread):
            metadata, vectors = read_metadata(part), map_vectors(part)
            kept.update(zip(metadata["labels"], vectors, strict=True))
    if not kept:
        raise BindplugError(next(iter(unread.values())))
    paths = [p for p in files if p in kept]
    rows = [kept[p][None] for p in paths]
    metadata = {"space": embedder.space, "labels": paths, "states": files, "unread": unread}
    write_vectors(path, len(rows), rows[0].shape[1], iter(rows), metadata)
    if new:
        part.unlink(missing_ok=True)
    return Index(paths, map_vectors(path), embedder.space, unread.values())


def embed_new(embedder, modality, new, part: Path, progress: bool, unread: dict) -> bool:
    """Embed files into `part` and note those that cannot be read; False if none can."""
    try:
        report = embed_files(
            embedder, [(modality, p) for p in new], part, overwrite=True, progress=progress
        )
        errors = report.errors
    except BindplugError as err:
        errors = (str(err),)
        if len(new) > 1 and not any(str(err).startswith(p) for p in new):
            raise
        report = None
    done = set() if report is None else set(read_metadata(part)["labels"])
    for p in new:
        if p not in done:
            unread[p] = next((e for e in errors if e.startswith(p)), f"{p}: cannot be read")
    return report is not None


def _state(path: str) -> list[int]:
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns]


__all__ = ["Index", "index_folder", "nearest"]
