"""A folder's files by meaning: embed them once, then rank them by cosine."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np

from ..errors import BindplugError, SpaceMismatch
from ..storage.cache_dir import cache_folder
from ..storage.locks import locked
from ..storage.vector_file import map_vectors, read_metadata, write_vectors
from .inputs import expand
from .jobs import embed_files, file_state
from .vectors import Embedding

log = logging.getLogger("bindplug")
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
    """Embed a folder's files of one modality; those of an earlier call are not embedded again.

    The index is kept in `cache_dir()/index`; a damaged one is made anew with a warning. Of two
    processes that index one folder the second waits.

    Raises:
        BindplugError: no such folder, no file of this modality that can be read, or a cache folder
            that cannot be written.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BindplugError(f"{folder}: is no folder; give the one to search in")
    key = f"{folder.resolve()}\n{modality}\n{embedder.space}\n{embedder.fingerprint}"
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    path = cache_folder("index") / f"{name}.safetensors"
    with locked(path):
        return _update(embedder, folder, modality, path, progress)


def _update(embedder, folder: Path, modality: str, path: Path, progress: bool) -> Index:
    files = {p: file_state(p) for p in expand(modality, str(folder.resolve()))}
    old_paths, old_vectors, old_errors, states = _read(path)
    if states == files and old_paths:
        return Index(old_paths, old_vectors, embedder.space, old_errors.values())
    known = {p for p, s in states.items() if files.get(p) == s}
    kept = {p: old_vectors[i] for i, p in enumerate(old_paths) if p in known}
    unread = {p: e for p, e in old_errors.items() if p in known}
    new = [p for p in files if p not in known]
    if new:
        part = path.with_suffix(".new.safetensors")
        if embed_new(embedder, modality, new, part, progress, unread):
            kept.update(zip(read_metadata(part)["labels"], map_vectors(part), strict=True))
    if not kept:
        raise BindplugError(next(iter(unread.values())))
    paths = [p for p in files if p in kept]
    rows = [kept[p][None] for p in paths]
    metadata = {"space": embedder.space, "labels": paths, "states": files, "unread": unread}
    write_vectors(path, len(rows), rows[0].shape[1], iter(rows), metadata)
    if new:
        part.unlink(missing_ok=True)
    return Index(paths, map_vectors(path), embedder.space, unread.values())


def _read(path: Path) -> tuple[list[str], np.ndarray | None, dict, dict]:
    """Paths, vectors, errors and file states of an index; empty ones where there is none."""
    if path.exists():
        try:
            metadata = read_metadata(path)
            unread, states = json.loads(metadata["unread"]), json.loads(metadata["states"])
            return metadata["labels"], map_vectors(path), unread, states
        except (BindplugError, KeyError, ValueError, TypeError) as err:
            log.warning("%s: is a damaged index (%s); it is made anew", path, err)
    return [], None, {}, {}


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


__all__ = ["Index", "index_folder", "nearest"]
