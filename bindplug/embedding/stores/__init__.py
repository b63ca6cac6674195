"""Engines that rank an index's vectors, behind one small interface.

A store only proposes rows. `nearest` ranks those by their exact cosines, so that every store gives
the same rows in the same order with the same figures. A store is made of the index's own file,
beside it, and is named by that file's place, size and time: it is never older than the index.
"""

import logging
import os
import shutil
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from ...errors import BindplugError, MissingDependency, check_choice
from ...storage.atomic import explain, reason
from ...storage.hashing import file_fingerprint

log = logging.getLogger("bindplug")
STORES = ("numpy", "faiss", "lancedb")
BLOCK = 8192  # rows that are held as float64 at a time
SPARE = 16  # rows that a store is asked for beyond those that are wanted


class Store(Protocol):
    """N unit rows of width D."""

    path: Path | None  # where it is kept; None for what is only in memory

    def propose(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The `count` (at most N) rows with the largest cosines to a (D,) float32 unit vector.

        Returns:
            Row numbers (count,) and their cosines (count,) in float32 arithmetic, largest first;
            among equals in any order."""


def check_store(name: str) -> None:
    """BindplugError for an unknown store; MissingDependency where its package is not installed."""
    check_choice("store", name, STORES)
    if not find_spec(name):
        raise MissingDependency(f"{name} is not installed; run: pip install 'bindplug[{name}]'")


def open_store(name: str, index: Path, vectors: np.ndarray, paths: list[str]) -> Store:
    """The store of an index; it is made where there is none of this index, or a damaged one.

    The caller holds the index's lock.

    Args:
        name: one of `STORES`.
        index: the file of the vectors.
        vectors: (N, D) float32 unit rows, N at least 1.
        paths: of the N files, for stores that other programs read.

    Raises BindplugError: the store cannot be written."""
    engine = import_module(f".{name}_store", __name__)
    if name == "numpy":
        return engine.Store(vectors)
    path = index.with_name(f"{index.stem}.{file_fingerprint(index)}.{name}")
    if path.exists():
        try:
            store = engine.Store(path)
            _check(store, vectors)
            return store
        except Exception as err:  # the engines raise many kinds
            log.warning("%s: is a damaged store (%s); it is rebuilt", path, reason(err))
    remove_stores(index, [name])
    part = path.with_name(path.name + ".part")
    with explain(path):
        try:
            engine.write(part, vectors, paths)
            os.replace(part, path)
        except RuntimeError as err:  # faiss and LanceDB have it for a full disk
            raise OSError(reason(err)) from err
        finally:
            _remove(part)
    return engine.Store(path)


def _check(store: Store, vectors: np.ndarray) -> None:
    """ValueError, or the engine's own exception, where a store does not hold these vectors, as far
    as one search can tell, which reads all of them."""
    rows, cosines = store.propose(vectors[-1], 1)
    if not 0 <= rows[0] < len(vectors) or abs(cosines[0] - 1) > tolerance(vectors.shape[1]):
        raise ValueError("it does not find a vector of the index")


def remove_stores(index: Path, names: Iterable[str] = STORES) -> None:
    """Remove the stores of an index, also what a process that was killed has left of them."""
    for name in names:
        for path in index.parent.glob(f"{index.stem}.*.{name}*"):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def tolerance(width: int) -> float:
    """How far apart two equal cosines may be in float32 arithmetic: twice the error of a sum of D
    products, D * eps / 2 in any order (Higham, Accuracy and Stability, section 3.1), and 1e-5 for
    lengths that are not quite 1."""
    return width * float(np.finfo(np.float32).eps) + 1e-5


def nearest(
    store: Store, vectors: np.ndarray, query: np.ndarray, top_k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows with the largest cosines to a query, exactly: equal ones in the order of the rows.

    More rows are asked of the store until the last proposed one is so far below the top that none
    of the others can belong to it.

    Args:
        store: of the vectors.
        vectors: (N, D) float32 unit rows.
        query: (D,) float32 unit vector.
        top_k: at least 1; of fewer rows all are given.

    Returns:
        Row numbers (k,) and their cosines (k,) float64, computed row by row in float64.

    Raises BindplugError: the store's file cannot be searched."""
    total, width = vectors.shape
    top_k = min(top_k, total)
    count = top_k + SPARE
    while True:
        count = min(count, total)
        try:
            rows, cosines = store.propose(query, count)
        except Exception as err:  # the engines raise many kinds
            if store.path is None:
                raise
            raise BindplugError(
                f"{store.path}: cannot be searched ({reason(err)}); search again, or delete it"
            ) from err
        if count == total or cosines[-1] < cosines[top_k - 1] - tolerance(width):
            break
        count *= 2
    rows = np.sort(rows)
    exact = np.concatenate([
        (vectors[part].astype(np.float64) * query).sum(axis=1)
        for part in np.array_split(rows, len(rows) // BLOCK + 1)
    ])  # fmt: skip
    best = np.argsort(-exact, kind="stable")[:top_k]
    return rows[best], exact[best]
