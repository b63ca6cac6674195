"""Hashes of files: of all their bytes, or of their place, size and time."""

import hashlib
import io
from pathlib import Path

BLOCK = 1 << 20  # bytes


def hash_file(path: Path, progress: bool = False) -> str:
    """sha256 of a file, hex."""
    digest = hashlib.sha256()
    bar = progress_bar(path.stat().st_size, f"checking {path.name}", progress)
    with path.open("rb") as file, bar:
        while block := file.read(BLOCK):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def content_hash(value, is_text: bool = False) -> str | None:
    """sha256, hex, of a text, or of what a path or an `io.BytesIO` holds, which may know it already
    (`sha256`); None where no such file can be read."""
    if known := getattr(value, "sha256", None):
        return known
    if isinstance(value, io.BytesIO):
        return hashlib.sha256(value.getbuffer()).hexdigest()
    if is_text:
        return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    try:
        return hash_file(Path(value)) if Path(value).is_file() else None  # not a pipe
    except OSError:
        return None


def file_fingerprint(path: Path) -> str:
    """A short name of a file by its place, size and time, which costs no reading."""
    stat = path.stat()
    fingerprint = f"{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}"
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:16]


def folder_fingerprint(folder: Path) -> str:
    """`file_fingerprint` of all files below a folder; "" where there is none."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256("".join(map(file_fingerprint, files)).encode()).hexdigest()
    return digest[:16] if files else ""


def progress_bar(total: int | None, label: str, progress: bool):
    """tqdm of bytes."""
    from tqdm import tqdm

    hidden = None if progress else True  # None: where standard error is no terminal
    return tqdm(total=total, desc=label, unit="B", unit_scale=True, leave=False, disable=hidden)
