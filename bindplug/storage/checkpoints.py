"""Checkpoint files of the catalogues: where each is kept, whether it is intact, and removal."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import BindplugError
from .atomic import write_file
from .cache_dir import cache_dir, derived_folder
from .hashing import hash_file


@dataclass(frozen=True)
class Checkpoint:
    """One downloadable file of a catalogue.

    Attributes:
        name: as `bindplug models pull` takes it.
        url: HTTP address.
        file: file name on disk.
        bytes: exact size; None where nobody published it, then the server's length counts.
        sha256: hex digest; "" where nobody published one, then that of the first complete download
            on this machine counts (see `expected_sha256`).
        licence: its authors' terms.
        gives: what it is for.
    """

    name: str
    url: str
    file: str
    bytes: int | None
    sha256: str
    licence: str
    gives: str

    @property
    def path(self) -> Path:
        """`cache_dir()/NAME/FILE`, whether or not it has been downloaded."""
        return cache_dir() / self.name / self.file


def read_catalogue(path: Path) -> tuple[Checkpoint, ...]:
    """The checkpoints of a JSON file: a list of objects with the attributes of `Checkpoint`."""
    return tuple(Checkpoint(**row) for row in json.loads(path.read_text("utf-8")))


def _is_whole(checkpoint: Checkpoint) -> bool:
    path = checkpoint.path
    return path.is_file() and checkpoint.bytes in (None, path.stat().st_size)


def sha256_file(checkpoint: Checkpoint) -> Path:
    """Where the sha256 of the first complete download is recorded."""
    return checkpoint.path.with_name(checkpoint.file + ".sha256")


def expected_sha256(checkpoint: Checkpoint) -> str:
    """The published sha256, else the one recorded on this machine, else "".

    Raises:
        BindplugError: the record holds no sha256.
    """
    record = sha256_file(checkpoint)
    if checkpoint.sha256 or not record.exists():
        return checkpoint.sha256
    digest = record.read_text("utf-8", "replace").strip()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise BindplugError(f"{record}: holds no sha256; delete it to accept the file as it is")
    return digest


def record_sha256(checkpoint: Checkpoint, digest: str) -> None:
    """Keep the sha256 of a first download, as hex in a text file."""
    write_file(sha256_file(checkpoint), lambda file: file.write(f"{digest}\n".encode()))


def verify(checkpoint: Checkpoint, progress: bool = False) -> None:
    """Check size and sha256 of a downloaded checkpoint.

    One without a published or recorded sha256 (an older download) gets its sha256 recorded.

    Raises:
        BindplugError: it is absent, or not what was published or first downloaded.
    """
    path = checkpoint.path
    if not path.is_file():
        raise BindplugError(
            f"{checkpoint.name} is not here; run: bindplug models pull {checkpoint.name}"
        )
    if not _is_whole(checkpoint):
        raise BindplugError(
            f"{path}: {path.stat().st_size} bytes, {checkpoint.bytes} expected; run: "
            f"bindplug models remove {checkpoint.name}, then pull it again"
        )
    found, expected = hash_file(path, progress), expected_sha256(checkpoint)
    if not expected:
        record_sha256(checkpoint, found)
    elif found != expected:
        problem = "is damaged" if checkpoint.sha256 else "is another file than first downloaded"
        raise BindplugError(
            f"{path}: {problem} (sha256 differs); run: "
            f"bindplug models remove {checkpoint.name}, then pull it again"
        )


def remove(checkpoint: Checkpoint) -> bool:
    """Delete a checkpoint and all that was derived from it; False if there was nothing.

    The sha256 of its first download stays, so that the next download is still compared with it.
    """
    path, record = checkpoint.path, sha256_file(checkpoint)
    found = [p for p in path.parent.iterdir() if p != record] if path.parent.exists() else []
    if path.exists():
        shutil.rmtree(derived_folder(path), ignore_errors=True)
    for old in found:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    if found and not record.exists():
        path.parent.rmdir()
    return bool(found)
