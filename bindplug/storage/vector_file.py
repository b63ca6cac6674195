"""Files of (N, D) vectors: written a block at a time, read by their formats' own libraries."""

import json
import struct
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..errors import BindplugError, MissingDependency
from .arrow import write_parquet
from .atomic import reason, writing

FORMATS = (".safetensors", ".npy", ".parquet")


def header_bytes(header: dict) -> bytes:
    """The head of a .safetensors file, for writing one tensor after another, which the safetensors
    library cannot: the length in 8 little-endian bytes, then JSON, padded so that tensors lie at
    multiples of 8."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def check_format(output: Path) -> None:
    """BindplugError for an ending that cannot be written, or that needs what is not installed."""
    if output.suffix not in FORMATS:
        raise BindplugError(f"{output}: unknown extension; choose {', '.join(FORMATS)}")
    if output.suffix == ".parquet" and not find_spec("pyarrow"):
        raise MissingDependency(f"{output}: needs pyarrow; run: pip install pyarrow")


def write_vectors(
    path: Path, rows: int, width: int, blocks: Iterable[np.ndarray], metadata: dict
) -> None:
    """Write blocks of rows to a file by its ending, holding one at a time.

    Args:
        blocks: (n, width) float32, `rows` rows in all.
        metadata: kept by .safetensors and .parquet, as strings or JSON; a .parquet has the
            `labels` as a column. A .npy has no room for it.

    Raises BindplugError: the file cannot be written."""
    strings = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    with writing(path) as file:
        if path.suffix == ".parquet":
            strings.pop("labels")
            write_parquet(file, blocks, width, {"label": metadata["labels"]}, strings)
            return
        if path.suffix == ".npy":
            shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
            np.lib.format.write_array_header_1_0(file, shape)
        else:
            tensor = {"dtype": "F32", "shape": [rows, width], "data_offsets": [0, rows * width * 4]}
            file.write(header_bytes({"__metadata__": strings, "vectors": tensor}))
        for block in blocks:
            file.write(np.ascontiguousarray(block, "<f4").tobytes())


def read_metadata(path: Path) -> dict:
    """What `write_vectors` was given as metadata, and `rows` and `width` of the vectors.

    `labels` (where kept) and `errors` are lists; other entries are strings.
    Raises BindplugError: it is no .safetensors or .parquet file of vectors."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            with pq.ParquetFile(path) as file:
                schema, rows = file.schema_arrow, file.metadata.num_rows
            width = schema.field("vector").type.list_size
            metadata = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
        else:
            from safetensors import safe_open

            with safe_open(path, "np") as file:
                metadata = file.metadata() or {}
                rows, width = file.get_slice("vectors").get_shape()
        lists = {key: json.loads(metadata[key]) for key in ("labels", "errors") if key in metadata}
        return {**metadata, **lists, "rows": rows, "width": width}
    except Exception as err:  # safetensors and pyarrow raise many kinds for a foreign file
        raise BindplugError(f"{path}: is no file of embeddings ({reason(err)})") from err


def map_vectors(path: Path) -> np.ndarray:
    """(N, D) float32, the `vectors` of a .safetensors of any float dtype; float32 is memory-mapped.
    Raises BindplugError: it is no file of embeddings."""
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:  # torch maps, numpy would copy
            vectors = file.get_tensor("vectors")
    except Exception as err:  # safetensors raises many kinds
        raise BindplugError(f"{path}: is no file of embeddings ({reason(err)})") from err
    if vectors.ndim != 2 or not vectors.is_floating_point():
        raise BindplugError(f"{path}: its vectors are not (N, D) floats; make it again")
    return vectors.float().numpy()
