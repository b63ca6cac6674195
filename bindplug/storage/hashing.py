"""sha256 of files, and cheap fingerprints of files by path, size and time."""

from __future__ import annotations

import hashlib
from pathlib import Path

BLOCK = 1 << 20  # bytes


def hash_file(path: Path, progress: bool = False) -> str:
    """sha256 of a file's bytes as 64 hex digits.

    Args:
        progress: show a progress bar (only on a terminal).
    """
    digest = hashlib.sha256()
    with path.open("rb") as file, _bar(path.stat().st_size, f"checking {path.name}", progress) as b:
        while block := file.read(BLOCK):
            digest.update(block)
            b.update(len(block))
    return digest.hexdigest()


def file_fingerprint(path: Path) -> str:
    """16 hex digits from a file's absolute path, size and modification time; nothing is read.

    Raises:
        OSError: the file is absent.
    """
    stat = path.stat()
    fingerprint = f"{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}"
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:16]


def _bar(total: int | None, label: str, progress: bool, initial: int = 0):
    from tqdm import tqdm

    return tqdm(
        total=total, desc=label, initial=initial, unit="B", unit_scale=True, leave=False,
        disable=None if progress else True,
    )  # fmt: skip
