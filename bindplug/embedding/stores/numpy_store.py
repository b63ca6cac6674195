"""The default store: all cosines in one product with the memory-mapped vectors."""

import numpy as np


class Store:
    """(N, D) float32 unit rows as they are; nothing is written."""

    path = None

    def __init__(self, vectors: np.ndarray):
        self.vectors = vectors

    def propose(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        cosines = self.vectors @ query
        rows = np.argpartition(-cosines, count - 1)[:count]
        rows = rows[np.argsort(-cosines[rows])]
        return rows, cosines[rows]
