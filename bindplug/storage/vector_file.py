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
HEADER = 20_000_000  # characters of metadata in a header; escaped, it stays far below 100 MB
LONG = "metadata"  # the tensor that holds what does not fit


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
            `labels` as a column. A .npy has no room for it. What is too long for the header of a
            .safetensors is its tensor `metadata`, UTF-8 bytes of JSON.

    Raises BindplugError: the file cannot be written."""
    strings = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    long = b""
    with writing(path) as file:
        if path.suffix == ".parquet":
            strings.pop("labels")
            write_parquet(file, blocks, width, {"label": metadata["labels"]}, strings)
            return
        if path.suffix == ".npy":
            shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
            np.lib.format.write_array_header_1_0(file, shape)
        else:
            strings, long = _split(strings)
            size = rows * width * 4
            header = {"__metadata__": strings, "vectors": _entry("F32", [rows, width], 0, size)}
            if long:
                header[LONG] = _entry("U8", [len(long)], size, size + len(long))
            file.write(header_bytes(header))
        for block in blocks:
            file.write(np.ascontiguousarray(block, "<f4").tobytes())
        file.write(long)


def _entry(dtype: str, shape: list[int], start: int, end: int) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def _split(strings: dict[str, str]) -> tuple[dict[str, str], bytes]:
    """What a header can hold, of which safetensors reads 100 MB, and the rest as JSON."""
    kept, rest = {}, {}
    for key, value in sorted(strings.items(), key=lambda item: len(item[1])):
        fits = sum(map(len, kept.values())) + len(value) <= HEADER
        (kept if fits else rest)[key] = value
    return kept, json.dumps(rest).encode() if rest else b""


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
                if LONG in file.keys():  # noqa: SIM118
                    metadata |= json.loads(file.get_tensor(LONG).tobytes())
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
