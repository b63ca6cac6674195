"""Rows of vectors as Arrow record batches, which parquet files and LanceDB tables are made of."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np


def file_columns(paths: Sequence[str]) -> dict[str, list[str]]:
    """What rows of files are called: their `path`, and as `label` the name without its ending."""
    return {"path": list(paths), "label": [Path(path).stem for path in paths]}


def batch_reader(
    blocks: Iterable[np.ndarray],
    width: int,
    columns: dict[str, Sequence],
    metadata: dict[str, str],
):
    """A `pyarrow.RecordBatchReader` over rows: the columns, then `vector`, a fixed-size list of
    `width` float32.

    Args:
        blocks: (n, width) float32, one batch each.
        columns: for each name one value a row: a range of numbers (int64), or texts, in which a
            lone surrogate, as in file names that are no UTF-8, becomes a backslash escape.
        metadata: of the schema.
    """
    import pyarrow as pa

    fields = [(n, pa.int64() if isinstance(v, range) else pa.string()) for n, v in columns.items()]
    fields.append(("vector", pa.list_(pa.float32(), width)))
    schema = pa.schema(fields, metadata=metadata)

    def batches():
        at = 0
        for block in blocks:
            flat = pa.array(np.ascontiguousarray(block, np.float32).reshape(-1))
            rows = slice(at, at + len(block))
            arrays = [pa.array(_encodable(values[rows])) for values in columns.values()]
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, width))
            if len(block):
                yield pa.record_batch(arrays, schema=schema)
            at += len(block)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _encodable(values: Sequence) -> Sequence:
    if isinstance(values, range):
        return values
    return [printable(value) for value in values]


def printable(text: str) -> str:
    """A text as Arrow takes it: what is no Unicode, as in names of files, as \\x and its bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


def write_parquet(
    file: IO[bytes],
    blocks: Iterable[np.ndarray],
    width: int,
    columns: dict[str, Sequence],
    metadata: dict[str, str],
) -> None:
    """Write rows as parquet, a row group for each block; arguments as in `batch_reader`."""
    import pyarrow.parquet as pq

    reader = batch_reader(blocks, width, columns, metadata)
    with pq.ParquetWriter(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
