"""A folder's files by meaning: embed them once, then rank them by cosine."""

import hashlib
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import BindplugError, SpaceMismatch
from ..storage.cache_dir import cache_folder
from ..storage.locks import locked
from ..storage.vector_file import map_vectors, read_metadata, write_vectors
from .inputs import expand
from .jobs import embed_files, file_state, remove_parts
from .stores import Store, check_store, nearest, open_store, remove_stores
from .stores.numpy_store import Store as NumpyStore
from .vectors import Embedding

log = logging.getLogger("bindplug")


@dataclass(frozen=True, eq=False)
class Index:
    """Files and their vectors."""

    paths: list[str]
    vectors: np.ndarray  # (N, D) float32 unit rows, memory-mapped
    space: str  # of the vectors
    errors: tuple[str, ...] = ()  # why files were left out
    modality: str = "image"  # of the files
    fingerprint: str = ""  # of the network that made the vectors; "" is unknown
    store: Store | None = None  # ranks the vectors; None takes the numpy store

    def __len__(self) -> int:
        return len(self.paths)

    def search(self, query: Embedding, top_k: int = 10) -> list[list[tuple[str, float]]]:
        """For each row of a query its nearest files and cosines, best first, equal ones in the
        order of `paths`; exact, and the same from every store.
        Raises SpaceMismatch: a query of another space; BindplugError: `top_k` below 1, or a store
        that cannot be searched."""
        if query.space != self.space:
            raise SpaceMismatch(f"the index is of {self.space!r}, the query of {query.space!r}")
        if top_k < 1:
            raise BindplugError("top_k must be at least 1")
        store = self.store or NumpyStore(self.vectors)
        out = []
        for row in query.vectors:
            found = zip(*nearest(store, self.vectors, row, top_k), strict=True)
            out.append([(self.paths[i], float(cosine)) for i, cosine in found])
        return out


def index_folder(
    embedder, folder: str | Path, modality: str = "image", progress=False, store: str = "numpy",
    options: dict | None = None,
) -> Index:  # fmt: skip
    """Embed a folder's files of one modality; those of an earlier call are not embedded again.

    The index is kept in `cache_dir()/index`, and beside it the store that ranks it; a damaged one
    is made anew with a warning, that of an embedder without a fingerprint always. Of two processes
    that index one folder the second waits.

    Args:
        store: "numpy", "faiss" or "lancedb" (`bindplug.embedding.stores`).
        options: of the files' modality, as in `Embedder.embed`; with others the index is another.

    Raises BindplugError: no such folder or store, no file of this modality that can be read, or a
    cache folder that cannot be written; MissingDependency: the store's package is not installed."""
    folder = Path(folder)
    check_store(store)
    if not folder.is_dir():
        raise BindplugError(f"{folder}: is not a folder; give the one to search in")
    key = f"{folder.resolve()}\n{modality}\n{embedder.space}\n{embedder.fingerprint}"
    key += f"\n{sorted(options.items())}" if options else ""
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    path = cache_folder("index") / f"{name}.safetensors"
    with locked(path):
        index = _update(embedder, folder, modality, path, progress, options or {})
        return replace(index, store=open_store(store, path, index.vectors, index.paths))


def _update(
    embedder, folder: Path, modality: str, path: Path, progress: bool, options: dict
) -> Index:
    files = {p: file_state(p) for p in expand(modality, str(folder.resolve()))}
    if not embedder.fingerprint:  # nothing tells whether another network made it
        path.unlink(missing_ok=True)
    old_paths, old_vectors, old_errors, states = _read(path)
    part = path.with_suffix(".new.safetensors")
    if states == files and old_paths:
        _remove(part)
        return _index(embedder, modality, old_paths, old_vectors, old_errors)
    known = {p for p, s in states.items() if files.get(p) == s}
    kept = {p: old_vectors[i] for i, p in enumerate(old_paths) if p in known}
    unread = {p: e for p, e in old_errors.items() if p in known}
    new = [p for p in files if p not in known]
    if new:
        items = [(modality, p) for p in new]
        try:
            errors = embed_files(
                embedder, items, part, options, overwrite=True, progress=progress
            ).errors
            kept.update(zip(read_metadata(part)["labels"], map_vectors(part), strict=True))
        except BindplugError as err:  # none can be read
            errors = tuple(str(err).splitlines())
            if not str(err).startswith(tuple(new)):
                raise
        for p in new:
            if p not in kept:
                unread[p] = next((e for e in errors if e.startswith(p)), f"{p}: cannot be read")
    if not kept:
        raise BindplugError(next(iter(unread.values())))
    paths = [p for p in files if p in kept]
    rows = [kept[p][None] for p in paths]
    metadata = {"space": embedder.space, "labels": paths, "states": files, "unread": unread}
    write_vectors(path, len(rows), rows[0].shape[1], iter(rows), metadata)
    _remove(part)
    remove_stores(path)
    return _index(embedder, modality, paths, map_vectors(path), unread)


def _index(embedder, modality: str, paths: list[str], vectors: np.ndarray, unread: dict) -> Index:
    errors = tuple(unread.values())
    return Index(paths, vectors, embedder.space, errors, modality, embedder.fingerprint)


def _remove(part: Path) -> None:
    """Also what a process that was killed at the end has left."""
    part.unlink(missing_ok=True)
    remove_parts(part)


def _read(path: Path) -> tuple[list[str], np.ndarray | None, dict, dict]:
    """Paths, vectors, errors and file states of an index; empty ones where there is none."""
    if path.exists():
        try:
            metadata = read_metadata(path)
            unread, states = json.loads(metadata["unread"]), json.loads(metadata["states"])
            return metadata["labels"], map_vectors(path), unread, states
        except (BindplugError, KeyError, ValueError, TypeError) as err:
            log.warning("%s: is a damaged index (%s); it is rebuilt", path, err)
    return [], None, {}, {}
