"""Embedding many files into one: in parts that survive an interruption, then joined.

While it runs, `OUTPUT.parts` holds the job's description and one file for each 32 inputs; the same
call goes on where it stopped, with the same batches, so its result is bit for bit the same.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from .errors import BindplugError, MissingDependency
from .headers import header_bytes, read_header
from .results import make_folder, refuse_existing, write_file, write_json

CHUNK = 32  # inputs a part
ENDINGS = {
    "audio": ".wav .flac .ogg .mp3 .aiff .aif .m4a .opus",
    "image": ".png .jpg .jpeg .webp .gif .bmp .tif .tiff",
    "video": ".mp4 .mkv .webm .avi .mov",
    "depth": ".png .tif .tiff .npy",
    "thermal": ".png .jpg .jpeg .tif .tiff .npy",
    "imu": ".csv",
}
FORMATS = (".safetensors", ".npy", ".parquet")


@dataclass(frozen=True)
class Report:
    """What became of a job: rows written, and a message for each input that could not be read."""

    rows: int
    width: int
    errors: tuple[str, ...]
    was_done: bool = False


def sense_by_name(path: str | Path) -> str:
    """audio, image or video, by a file's ending.

    Raises:
        BindplugError: an ending that says nothing.
    """
    ending = Path(path).suffix.lower()
    for sense in ("audio", "image", "video"):
        if ending and ending in ENDINGS[sense].split():
            return sense
    raise BindplugError(f"{path}: its ending does not say which sense it is for; name the sense")


def expand(sense: str, value: str) -> list[str]:
    """A text, file, folder (recursively, by ending) or glob pattern to inputs, sorted.

    Raises:
        BindplugError: a folder or pattern without a file of this sense.
    """
    if sense == "text" or os.path.isfile(value):
        return [value]
    endings = ENDINGS[sense].split()
    if os.path.isdir(value):
        found = [p for p in Path(value).rglob("*") if p.suffix.lower() in endings and p.is_file()]
    elif glob.has_magic(value):
        found = [Path(p) for p in glob.glob(value, recursive=True) if os.path.isfile(p)]
    else:
        return [value]  # reported when it is read
    if not found:
        what = "is a folder" if os.path.isdir(value) else "is a pattern"
        raise BindplugError(f"{value}: {what} without {sense} files ({', '.join(endings)})")
    return sorted(map(str, found))


def read_list(lines: Iterable[str], sense: str | None = None) -> list[tuple[str, str]]:
    """(sense, value) of each line: a path, or a JSON object such as {"audio": "dog.wav"}.

    Args:
        sense: of plain lines; None goes by the ending.

    Raises:
        BindplugError: a line that is neither; its number is named.
    """
    from .senses import SENSES

    out = []
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if not line.strip():
            continue
        if not line.lstrip().startswith("{"):
            out.append((sense or sense_by_name(line), line))
            continue
        try:
            given = {k: v for k, v in json.loads(line).items() if k in SENSES}
        except ValueError as err:
            raise BindplugError(f"line {number} of the list: is no JSON: {err}") from err
        if len(given) != 1 or not isinstance(next(iter(given.values())), str):
            raise BindplugError(
                f'line {number} of the list: give one input, as in {{"audio": "dog.wav"}}'
            )
        out.extend(given.items())
    return out


def shard_of(items: list, shard: tuple[int, int]) -> list:
    """The i-th of n consecutive shares of a list; whole parts, so that all shares joined are what
    one run gives, bit for bit (with fewer parts than shares, single inputs)."""
    i, n = shard
    unit = CHUNK if len(items) >= CHUNK * n else 1
    blocks = -(-len(items) // unit)
    return items[blocks * i // n * unit : blocks * (i + 1) // n * unit]


def embed_files(
    embedder,
    items: list[tuple[str, str]],
    output: str | Path,
    options: dict | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Report:
    """Embed (sense, value) pairs into a file; the same call after an interruption goes on.

    Args:
        items: of any senses that the embedder speaks, in the order of the result.
        output: x.safetensors (`vectors` (N, D) and the labels), x.npy, or x.parquet (pyarrow).
        options: of the senses, as in `Embedder.embed`; each goes to the senses that have it.

    Raises:
        BindplugError: an unknown ending, an existing file of other content, or no input that can
            be read.
    """
    output, options = Path(output), options or {}
    check_format(output)
    make_folder(output.parent)
    job = _describe(embedder, items, options)
    parts = output.with_name(output.name + ".parts")
    if output.exists() and not overwrite:
        done = _finished(output, parts, job)
        if done:
            shutil.rmtree(parts, ignore_errors=True)
            return done
        refuse_existing([output], overwrite)
    _claim(parts, job, overwrite)
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    _fill(embedder, parts, chunks, options, progress)
    tables = [_read_part(parts / f"{i:08d}.npz") for i in range(len(chunks))]
    rows = sum(t["rows"] for t in tables)
    errors = tuple(e for t in tables for e in t["errors"])
    if not rows:
        shutil.rmtree(parts)
        raise BindplugError(errors[0] if errors else "no input to embed")
    labels = [label for t in tables for label in t["labels"]]
    width = next(t["width"] for t in tables if t["rows"])
    about = {"space": embedder.space, "labels": labels, "job": job["id"], "errors": errors}
    blocks = (_vectors(parts / f"{i:08d}.npz") for i in range(len(chunks)))
    joined = parts / f"joined{output.suffix}"
    write_vectors(joined, rows, width, blocks, about)
    os.replace(joined, output)
    shutil.rmtree(parts)
    return Report(rows, width, errors)


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


def _describe(embedder, items, options) -> dict:
    """A job's identity: inputs with size and time of their files, network and settings."""
    digest = hashlib.sha256()
    for sense, value in items:
        digest.update(f"{sense}\n{value}\n".encode())
        if sense != "text" and os.path.isfile(value):
            stat = os.stat(value)
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
    settings = (embedder.space, embedder.identity, embedder.dtype, sorted(options.items()))
    digest.update(repr(settings).encode())
    return {"id": digest.hexdigest(), "inputs": len(items), "space": embedder.space}


def _finished(output: Path, parts: Path, job: dict) -> Report | None:
    """The report of a job whose result is there already."""
    if output.suffix != ".safetensors":  # the others do not say what they were made of
        return Report(job["inputs"], 0, (), True) if _is_claimed(parts, job) else None
    about = read_about(output)
    if about.get("job") != job["id"]:
        return None
    vectors = map_vectors(output)
    return Report(len(vectors), vectors.shape[1], tuple(about.get("errors", ())), True)


def _is_claimed(parts: Path, job: dict) -> bool:
    try:
        return json.loads((parts / "job.json").read_text()) == job
    except (OSError, ValueError):
        return False


def _claim(parts: Path, job: dict, overwrite: bool) -> None:
    if parts.exists() and not _is_claimed(parts, job):
        if (parts / "job.json").exists() and not overwrite:
            raise BindplugError(
                f"{parts}: is the unfinished work of another call (other inputs or settings); "
                "repeat that one, add --overwrite, or delete the folder"
            )
        shutil.rmtree(parts)
    if not parts.exists():
        make_folder(parts)
        write_json(parts / "job.json", job)


def _fill(embedder, parts: Path, chunks: list, options: dict, progress: bool) -> None:
    """Write the parts that are not there."""
    from tqdm import tqdm

    from .senses import options_of

    missing = [i for i in range(len(chunks)) if not (parts / f"{i:08d}.npz").exists()]
    total = sum(map(len, chunks))
    done = total - sum(len(chunks[i]) for i in missing)
    hidden = None if progress else True
    with tqdm(total=total, initial=done, desc="embed", unit="input", disable=hidden) as bar:
        for i in missing:
            vectors, labels, errors = [], [], []
            for sense, run in groupby(chunks[i], key=lambda item: item[0]):
                values = [value for _, value in run]
                for row in embedder.stream(sense, values, **options_of(sense, options)):
                    if row.error:
                        errors.append(str(row.error))
                    else:
                        vectors.append(row.vectors)
                        labels.append(row.label)
                    bar.update()
            table = np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32)
            about = np.frombuffer(json.dumps([labels, errors]).encode(), np.uint8)
            path = parts / f"{i:08d}.npz"
            write_file(path, lambda f, t=table, a=about: np.savez(f, vectors=t, about=a))


def _vectors(path: Path) -> np.ndarray:
    with np.load(path) as part:
        return part["vectors"]


def _read_part(path: Path) -> dict:
    with np.load(path) as part:
        rows, width = part["vectors"].shape
        labels, errors = json.loads(part["about"].tobytes())
    return {"rows": rows, "width": width, "labels": labels, "errors": errors}


def write_vectors(
    path: Path, rows: int, width: int, blocks: Iterator[np.ndarray], about: dict
) -> None:
    """Write blocks of rows to a file by its ending, holding one at a time.

    Args:
        about: what a .safetensors carries as metadata; `labels` and `space` go into a .parquet.
    """
    if path.suffix == ".parquet":
        _write_parquet(path, width, blocks, about)
        return
    if path.suffix == ".npy":

        def head(file):
            shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
            np.lib.format.write_array_header_1_0(file, shape)

    else:
        tensor = {"dtype": "F32", "shape": [rows, width], "data_offsets": [0, rows * width * 4]}
        metadata = {k: v if isinstance(v, str) else json.dumps(v) for k, v in about.items()}
        start = header_bytes({"__metadata__": metadata, "vectors": tensor})

        def head(file):
            file.write(start)

    def write(file):
        head(file)
        for block in blocks:
            file.write(np.ascontiguousarray(block, "<f4").tobytes())

    write_file(path, write)


def _write_parquet(path: Path, width: int, blocks: Iterator[np.ndarray], about: dict) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {"space": about["space"], "job": about["job"]}
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
                    labels = pa.array(about["labels"][at : at + len(block)])
                    writer.write_table(pa.table([labels, vectors], schema=schema))
                    at += len(block)

    write_file(path, write)


def read_about(path: Path) -> dict:
    """`space`, `labels`, `job` and `errors` of a .safetensors that `embed_files` wrote.

    Raises:
        BindplugError: it is no such file.
    """
    header, _ = read_header(path)
    about = dict(header.get("__metadata__", {}))
    for key in ("labels", "errors"):
        if key in about:
            about[key] = json.loads(about[key])
    return about


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
