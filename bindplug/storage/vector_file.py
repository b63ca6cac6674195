""" """

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import BindplugError, MissingDependency
from .atomic import write_file
from .safetensors_header import header_bytes, read_header

FORMATS = (".safetensors", ".npy", ".parquet")


def check_format(output: Path) -> None:
    """
    Raises:
        BindplugError: an ending that cannot be written.
    """
    if output.suffix not in FORMATS:
        raise BindplugError(f"{output}: unknown ending; choose {', '.join(FORMATS)}")
    if output.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as err:
            raise MissingDependency(f"{output}: needs pyarrow; run: pip install pyarrow") from err


def write_vectors(
    path: Path, rows: int, width: int, blocks: Iterator[np.ndarray], metadata: dict
) -> None:
    """Write blocks of rows to a file by its ending, holding one at a time.

    Args:
        about: what a .safetensors carries as metadata; `labels` and `space` go into a .parquet.
    """
    if path.suffix == ".parquet":
        _write_parquet(path, width, blocks, metadata)
        return
    if path.suffix == ".npy":

        def head(file):
            shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
            np.lib.format.write_array_header_1_0(file, shape)

    else:
        tensor = {"dtype": "F32", "shape": [rows, width], "data_offsets": [0, rows * width * 4]}
        metadata = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
        start = header_bytes({"__metadata__": metadata, "vectors": tensor})

        def head(file):
            file.write(start)

    def write(file):
        head(file)
        for block in blocks:
            file.write(np.ascontiguousarray(block, "<f4").tobytes())

    write_file(path, write)


def _write_parquet(path: Path, width: int, blocks: Iterator[np.ndarray], metadata: dict) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {"space": metadata["space"], "job": metadata["job"]}
    schema = pa.schema(
        [("label", pa.string()), ("vector", pa.list_(pa.float32(), width))], metadata=metadata
    )

    def write(file):
        at = 0
        with pq.ParquetWriter(file, schema) as writer:
            for block in blocks:
                if len(block):
                    flat = pa.array(np.ascontiguousarray(block).reshape(-1))
                    vectors = pa.FixedSizeListArray.from_arrays(flat, width)
                    labels = pa.array(metadata["labels"][at : at + len(block)])
                    writer.write_table(pa.table([labels, vectors], schema=schema))
                    at += len(block)

    write_file(path, write)


def read_metadata(path: Path) -> dict:
    """`space`, `labels`, `job` and `errors` of a .safetensors that `embed_files` wrote.

    Raises:
        BindplugError: it is no such file.
    """
    header, _ = read_header(path)
    metadata = dict(header.get("__metadata__", {}))
    for key in ("labels", "errors"):
        if key in metadata:
            metadata[key] = json.loads(metadata[key])
    return metadata


def map_vectors(path: Path) -> np.ndarray:
    """(N, D) float32 of a .safetensors, memory-mapped.

    Raises:
        BindplugError: it is no file of embeddings.
    """
    header, offset = read_header(path)
    try:
        shape = tuple(header["vectors"]["shape"])
        return np.memmap(path, "<f4", "r", offset, shape)
    except (KeyError, ValueError) as err:
        raise BindplugError(f"{path}: holds no embeddings; make it again") from err
