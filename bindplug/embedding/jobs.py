"""Embedding many files into one: in parts that survive an interruption, then joined.

While it runs, `OUTPUT.parts` holds the job's description and one file for each part (32 inputs, or
a batch where that is more); the same call goes on where it stopped, with the same batches, so its
result is bit for bit the same.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ..errors import BindplugError
from ..storage.atomic import (
    is_stream,
    make_folder,
    put_in_place,
    refuse_existing,
    write_json,
)
from ..storage.locks import locked
from ..storage.vector_file import check_format, map_vectors, read_metadata, write_vectors
from .modalities import options_of

CHUNK = 32  # least inputs a part


@dataclass(frozen=True)
class Report:
    """What became of a job: rows written, and a message for each input that could not be read."""

    rows: int
    width: int
    errors: tuple[str, ...]
    was_done: bool = False


def part_size(embedder) -> int:
    """Inputs a part: whole batches of the embedder, at least CHUNK inputs."""
    batch = getattr(embedder, "batch_size", CHUNK)
    return math.ceil(CHUNK / batch) * batch


def shard_of(items: list, shard: tuple[int, int], unit: int = CHUNK) -> list:
    """The i-th of n consecutive shares of a list; whole parts of `unit` inputs (`part_size`), so
    that all shares joined are what one run gives, bit for bit (with fewer parts than shares,
    single inputs)."""
    i, n = shard
    unit = unit if len(items) >= unit * n else 1
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
    """Embed (modality, value) pairs into a file; after an interruption, the same call continues.

    Another process that asks for the same file waits until this one is done.

    Args:
        items: of any modalities that the embedder supports, in the order of the result.
        output: x.safetensors (`vectors` (N, D) and the labels), x.npy, or x.parquet (pyarrow).
        options: of the modalities, as in `Embedder.embed`; each goes to those that have it.

    Raises BindplugError: an unknown ending, an existing file of other content, or no input that can
    be read: a line for each."""
    output = Path(output)
    check_format(output)
    if is_stream(output):
        raise BindplugError(f"{output}: is a pipe or device; give the name of a file")
    make_folder(output.parent)
    with locked(output):
        return _embed_files(embedder, items, output, options or {}, overwrite, progress)


def parts_folder(output: Path) -> Path:
    """Where a job keeps what is done until all is."""
    return output.with_name(output.name + ".parts")


def remove_parts(output: Path) -> None:
    """Remove what a job that was stopped after its result was there has left beside it."""
    shutil.rmtree(parts_folder(output), ignore_errors=True)


def _embed_files(embedder, items, output: Path, options, overwrite: bool, progress: bool) -> Report:
    settings = embedding_settings(embedder, options)
    job = {"id": job_id(items, settings), "chunk": part_size(embedder)}
    folder = parts_folder(output)
    claim = read_claim(folder, job["id"])
    if output.exists() and not overwrite:
        done = _finished(output, claim, job)
        if done:
            remove_parts(output)
            return done
        if not claim.get("overwrite"):  # else the call that was interrupted had leave to replace it
            refuse_existing([output], overwrite)
    claim = claim_parts(folder, {**job, **claim}, overwrite)
    size = claim["chunk"]
    parts = {
        folder / f"{i:08d}.safetensors": items[start : start + size]
        for i, start in enumerate(range(0, len(items), size))
    }
    _fill(embedder, parts, options, progress)
    tables = [read_metadata(part) for part in parts]
    rows = sum(t["rows"] for t in tables)
    errors = tuple(e for t in tables for e in t["errors"])
    if not rows:
        shutil.rmtree(folder)
        raise BindplugError("\n".join(errors) or "no input to embed")
    labels = [label for t in tables for label in t["labels"]]
    width = next(t["width"] for t in tables if t["rows"])
    metadata = {"space": embedder.space, "labels": labels, "job": job["id"], "errors": errors}
    joined = folder / f"joined{output.suffix}"
    write_vectors(joined, rows, width, map(map_vectors, parts), metadata)
    done = {"rows": rows, "width": width, "errors": errors, "file": file_state(joined)}
    write_json(folder / "job.json", {**claim, "done": done})
    put_in_place(joined, output)
    shutil.rmtree(folder)
    return Report(rows, width, errors)


def job_id(items: Iterable[tuple[str, str]], settings: object) -> str:
    """What a job's result is made from: inputs with size and time of their files, and whatever of
    models and options decides it."""
    digest = hashlib.sha256()
    for modality, value in items:
        digest.update(f"{modality}\n{value}\n".encode("utf-8", "surrogatepass"))
        if modality != "text" and os.path.isfile(value):
            digest.update(f"{file_state(value)}\n".encode())
    digest.update(repr(settings).encode())
    return digest.hexdigest()


def embedding_settings(embedder, options: dict) -> tuple:
    """What decides the vectors beside the inputs, for `job_id`."""
    network = embedder.fingerprint or os.urandom(8)  # an unknown one is never the same
    return embedder.space, network, sorted(options.items())


def file_state(path: str | Path) -> list[int]:
    """Size and time of a file; renaming keeps both."""
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns]


def _finished(output: Path, claim: dict, job: dict) -> Report | None:
    """The report of a job whose result is there already."""
    done = claim.get("done")
    if done and done["file"] == file_state(output):  # stopped between renaming and tidying up
        return Report(done["rows"], done["width"], tuple(done["errors"]), True)
    if output.suffix == ".npy":  # does not say what it was made from
        return None
    try:
        metadata = read_metadata(output)
    except BindplugError:
        if claim.get("overwrite"):  # the call that was interrupted had leave to replace it
            return None
        raise
    if metadata.get("job") != job["id"]:
        return None
    return Report(metadata["rows"], metadata["width"], tuple(metadata.get("errors", ())), True)


def read_claim(parts: Path, job: str) -> dict:
    """What `parts` was begun with, where it is the job of this `job_id`; else {}."""
    try:
        claim = json.loads((parts / "job.json").read_text())
        return claim if claim["id"] == job and claim.get("chunk", 1) > 0 else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def claim_parts(parts: Path, claim: dict, overwrite: bool) -> dict:
    """Begin or continue a job in its folder; the claim as it is written there.

    Raises BindplugError: the folder is the unfinished work of another job, and `overwrite` is
    False."""
    if parts.exists() and not read_claim(parts, claim["id"]):
        if (parts / "job.json").exists() and not overwrite:
            raise BindplugError(
                f"{parts}: is the unfinished work of another call (other inputs, model or "
                "settings); repeat that call, add --overwrite, or delete the folder"
            )
        shutil.rmtree(parts)
    claim = {**claim, "overwrite": overwrite or claim.get("overwrite", False)}
    write_json(make_folder(parts) / "job.json", claim)
    return claim


def stream_items(embedder, items: Iterable[tuple[str, str]], options: dict) -> Iterator:
    """A Row (`Embedder.stream`) for each (modality, value) pair, in order."""
    for modality, run in groupby(items, key=lambda item: item[0]):
        values = [value for _, value in run]
        yield from embedder.stream(modality, values, **options_of(modality, options))


def _fill(embedder, parts: dict[Path, list], options: dict, progress: bool) -> None:
    """Write the parts, each with its share of the items, that are not there."""
    from tqdm import tqdm

    missing = {part: share for part, share in parts.items() if not part.exists()}
    total = sum(map(len, parts.values()))
    done = total - sum(map(len, missing.values()))
    hidden = None if progress else True
    with tqdm(total=total, initial=done, desc="embed", unit="input", disable=hidden) as bar:
        for part, share in missing.items():
            blocks, labels, errors = [], [], []
            for row in stream_items(embedder, share, options):
                if row.error:
                    errors.append(str(row.error))
                else:
                    blocks.append(row.vectors)
                    labels.append(row.label)
                bar.update()
            width = blocks[0].shape[1] if blocks else 0
            metadata = {"labels": labels, "errors": errors}
            write_vectors(part, len(blocks), width, blocks, metadata)
