"""A flat inner-product index of faiss, in a file that `faiss.read_index` reads."""

from pathlib import Path

import faiss
import numpy as np

BLOCK = 65536  # rows that are added at a time


def write(path: Path, vectors: np.ndarray, paths: list[str]) -> None:
    """Write (N, D) float32 unit rows; the file has no room for paths."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    for start in range(0, len(vectors), BLOCK):
        index.add(vectors[start : start + BLOCK])
    faiss.write_index(index, str(path))


class Store:
    """The file that `write` made, memory-mapped."""

    def __init__(self, path: Path):
        self.path = path
        self.index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)

    def propose(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        cosines, rows = self.index.search(query[None], count)
        return rows[0], cosines[0]
