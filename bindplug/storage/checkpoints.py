"""Checkpoints of a catalogue: where they are kept, and whether they are whole."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import BindplugError, MissingDependency
from .atomic import write_file
from .cache_dir import cache_dir, derived_folder
from .hashing import hash_file


@dataclass(frozen=True)
class Checkpoint:
    """One file of a catalogue."""

    name: str  # as `bindplug models pull` takes it
    url: str  # where it is fetched from
    file: str  # its name on disk
    bytes: int | None  # exact size; None where nobody has published it: the server's word counts
    sha256: str  # hex digest; "" where nobody has published one
    licence: str  # its makers' terms
    gives: str  # what it is for

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        return cache_dir() / self.name / self.file


def read_catalogue(path: Path) -> tuple[Checkpoint, ...]:
    """Checkpoints of a JSON list."""
    return tuple(Checkpoint(**row) for row in json.loads(path.read_text("utf-8")))


def is_whole(checkpoint: Checkpoint) -> bool:
    """Whether it is here with its full size."""
    path = checkpoint.path
    return path.is_file() and checkpoint.bytes in (None, path.stat().st_size)


def hash_record(checkpoint: Checkpoint) -> Path:
    """Where the sha256 of a first download is kept, where none is published; outlives `remove`."""
    return cache_dir() / "hashes" / f"{checkpoint.name}.sha256"


def known_hash(checkpoint: Checkpoint) -> str:
    """The published sha256, else the one of the first download on this machine, else ""."""
    record = hash_record(checkpoint)
    if checkpoint.sha256 or not record.is_file():
        return checkpoint.sha256
    digest = record.read_text("utf-8", "replace").strip()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise BindplugError(f"{record}: holds no sha256; delete it")
    return digest


def record_hash(checkpoint: Checkpoint, digest: str) -> None:
    """Keep the sha256 of a first download."""
    record = hash_record(checkpoint)
    record.parent.mkdir(parents=True, exist_ok=True)
    write_file(record, lambda f: f.write(digest.encode()))


def verify(checkpoint: Checkpoint, progress: bool = False) -> None:
    """Check size and sha256.
    Raises MissingDependency: an absent checkpoint; BindplugError: one that is not what was
    published or first downloaded."""
    path = checkpoint.path
    anew = f"run: bindplug models remove {checkpoint.name}, then pull it again"
    if not path.is_file():
        raise MissingDependency(
            f"{checkpoint.name} is not here; run: bindplug models pull {checkpoint.name}"
        )
    if not is_whole(checkpoint):
        size = path.stat().st_size
        raise BindplugError(f"{path}: {size} bytes, {checkpoint.bytes} expected; {anew}")
    known, digest = known_hash(checkpoint), hash_file(path, progress)
    if not known:  # of a bindplug that did not keep it yet
        record_hash(checkpoint, digest)
    elif digest != known:
        problem = "is damaged" if checkpoint.sha256 else "is another file than first downloaded"
        raise BindplugError(f"{path}: {problem} (sha256 differs); {anew}")


def remove(checkpoint: Checkpoint) -> bool:
    """Delete a checkpoint and all that was made of it; False if there was nothing."""
    path = checkpoint.path
    if not path.parent.exists():
        return False
    if path.exists():
        shutil.rmtree(derived_folder(path), ignore_errors=True)
    shutil.rmtree(path.parent)
    return True
