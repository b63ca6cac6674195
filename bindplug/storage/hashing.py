"""Hashes of files: of all their bytes, or of their place, size and time."""

from __future__ import annotations

import hashlib
from pathlib import Path

BLOCK = 1 << 20  # bytes


def hash_file(path: Path, progress: bool = False) -> str:
    """sha256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file, _bar(path.stat().st_size, f"checking {path.name}", progress) as b:
        while block := file.read(BLOCK):
            digest.update(block)
            b.update(len(block))
    return digest.hexdigest()


def content_hash(value: str, is_text: bool = False) -> str | None:
    """sha256, hex, of a text or of what a file holds; None where no such file can be read."""
    if is_text:
        return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    path = Path(value)
    try:
        return hash_file(path) if path.is_file() else None  # a pipe would be used up
    except OSError:
        return None


def file_fingerprint(path: Path) -> str:
    """A short name of a file by its place, size and time, which costs no reading."""
    stat = path.stat()
    fingerprint = f"{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}"
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:16]


def _bar(total: int | None, label: str, progress: bool, initial: int = 0):
    from tqdm import tqdm

    return tqdm(
        total=total, desc=label, initial=initial, unit="B", unit_scale=True, leave=False,
        disable=None if progress else True,
    )  # fmt: skip
