"""A LanceDB database with one table, `vectors`, that other programs can read and query too."""

from pathlib import Path

import lancedb
import numpy as np

from ...storage.arrow import batch_reader, file_columns

BLOCK = 8192  # rows that are written at a time
TABLE = "vectors"


def write(path: Path, vectors: np.ndarray, paths: list[str]) -> None:
    """Write (N, D) float32 unit rows with their row numbers, paths and labels."""
    blocks = (vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK))
    columns = {"row": range(len(vectors)), **file_columns(paths)}
    reader = batch_reader(blocks, vectors.shape[1], columns, {})
    lancedb.connect(path).create_table(TABLE, reader)


class Store:
    """The database that `write` made."""

    def __init__(self, path: Path):
        self.path = path
        self.table = lancedb.connect(path).open_table(TABLE)

    def propose(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        search = self.table.search(query).distance_type("dot").bypass_vector_index()
        found = search.limit(count).select(["row", "_distance"]).to_arrow()
        distances = found["_distance"].to_numpy()  # 1 - cosine
        return found["row"].to_numpy(), 1 - distances
