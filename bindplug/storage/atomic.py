"""The one writer of files: a result is there whole under its name, or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..errors import BindplugError, FileExists, first_line

READER_SECONDS = 10  # that a FIFO is waited for


def reason(err: BaseException) -> str:
    """Why something failed, one line: the system's words, else the exception's."""
    return getattr(err, "strerror", None) or first_line(err)


def make_folder(folder: str | Path) -> Path:
    """A folder, made if it is not there; BindplugError where it cannot be made or written to."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as err:
        raise BindplugError(
            f"{folder}: cannot be written ({reason(err)}); choose another --output"
        ) from err
    return folder


def is_stream(path: Path) -> bool:
    """Whether a path is written into and never replaced: a FIFO, a device, a process's own file
    descriptor such as /dev/stdout."""
    if os.path.isfile(path) or os.path.isdir(path):
        links = (os.path.realpath(path.parent), os.readlink(path) if path.is_symlink() else "")
        return any(link.startswith("/proc/") for link in links)
    return os.path.exists(path)


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """FileExists where one of the files exists and `overwrite` is False."""
    for path in paths:
        if path.exists() and not overwrite and not is_stream(path):
            raise FileExists(f"{path}: exists")


def check_target(path: str | Path, overwrite: bool) -> Path:
    """A path that can be written to: its folder is made; see `refuse_existing`."""
    path = Path(path)
    if not is_stream(path):
        make_folder(path.parent)
        refuse_existing([path], overwrite)
    return path


@contextmanager
def explain(path: Path) -> Iterator[None]:
    """Turn an OSError into one line that names the file and the reason."""
    try:
        yield
    except OSError as err:
        raise BindplugError(f"{path}: cannot be written ({reason(err)})") from err


def _open_stream(path: Path) -> IO[bytes]:
    """A stream open for writing; a FIFO that nobody reads within READER_SECONDS is an error."""
    deadline = time.monotonic() + READER_SECONDS
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            os.set_blocking(handle, True)
            return os.fdopen(handle, "wb")
        except OSError as err:
            if err.errno != errno.ENXIO:
                raise
            if time.monotonic() > deadline:
                raise OSError(errno.ENXIO, "nobody reads from it") from err
            time.sleep(0.05)


class PendingFile:
    """A binary file beside its target, renamed over it by `commit` and deleted by `discard`.

    A link is followed, a stream (`is_stream`) is written into directly. New files have the mode
    that the umask gives, replaced ones keep theirs.

    Attributes:
        file: open for writing; `file.name` is its path, for libraries that open files themselves.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.scratch = None
        with explain(self.path):
            if is_stream(self.path):
                self.file: IO[bytes] = _open_stream(self.path)
                return
            self.target = Path(os.path.realpath(self.path))
            self.scratch = self.target.with_name(f".{secrets.token_hex(8)}.part")
            self.file = self.scratch.open("xb")
            with suppress(FileNotFoundError):
                self.scratch.chmod(stat.S_IMODE(self.target.stat().st_mode))

    def commit(self) -> None:
        """BindplugError where it cannot be written, and then nothing is left."""
        try:
            with explain(self.path):
                self.file.flush()
                if self.scratch:
                    os.fsync(self.file.fileno())
                self.file.close()
                if self.scratch:
                    os.replace(self.scratch, self.target)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        with suppress(OSError):  # a full disk refuses what is still in the buffer
            self.file.close()
        if self.scratch:
            self.scratch.unlink(missing_ok=True)


@contextmanager
def writing(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that is there under its name when the block ends well, and not otherwise;
    BindplugError where it cannot be written."""
    pending = PendingFile(path)
    try:
        with explain(pending.path):
            yield pending.file
    except BaseException:
        pending.discard()
        raise
    pending.commit()


def write_file(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call `write` on a binary file; see `writing`."""
    with writing(path) as file:
        write(file)


def write_json(path: str | Path, data) -> None:
    """Write data as indented JSON; see `writing`."""
    write_file(path, lambda f: f.write((json.dumps(data, indent=1) + "\n").encode()))
