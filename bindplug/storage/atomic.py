"""The one writer of files: a result is there whole under its name, or not at all."""

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


@contextmanager
def writing(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that is there under its name when the block ends well, and not otherwise;
    `file.name` is a path, for libraries that open files themselves.

    A link is followed, a stream (`is_stream`) is written into directly. New files have the mode
    that the umask gives, replaced ones keep theirs. Raises BindplugError: it cannot be written."""
    path = Path(path)
    with explain(path):
        if is_stream(path):
            with _open_stream(path) as file:
                yield file
            return
        target = Path(os.path.realpath(path))
        scratch = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with scratch.open("xb") as file:
                mode = stat.S_IMODE(scratch.stat().st_mode)
                with suppress(FileNotFoundError):
                    mode = stat.S_IMODE(target.stat().st_mode)
                    scratch.chmod(mode)
                yield file
            with scratch.open("rb") as file:  # a library may have put another file in its place
                os.fsync(file.fileno())
            scratch.chmod(mode)
            os.replace(scratch, target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise


def put_in_place(scratch: str | Path, path: str | Path) -> None:
    """Rename a finished file to its name, as `writing` does: a link is followed, and the mode of
    what it replaces is kept."""
    target = os.path.realpath(path)
    with suppress(FileNotFoundError):
        os.chmod(scratch, stat.S_IMODE(os.stat(target).st_mode))
    os.replace(scratch, target)


class PendingFile:
    """`writing` for a file that is not finished in one block.

    Attributes:
        file: open for writing.
    """

    def __init__(self, path: str | Path):
        self.path, self._block = Path(path), writing(path)
        self.file = self._block.__enter__()

    def commit(self) -> None:
        self._block.__exit__(None, None, None)

    def discard(self) -> None:
        """Leave nothing, also after an error; does nothing after `commit`."""
        with suppress(BindplugError):  # a full disk refuses what is still in the buffer
            self._block.__exit__(GeneratorExit, GeneratorExit(), None)


def write_file(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call `write` on a binary file; see `writing`."""
    with writing(path) as file:
        write(file)


def write_json(path: str | Path, data) -> None:
    """Write data as indented JSON; see `writing`."""
    write_file(path, lambda f: f.write((json.dumps(data, indent=1) + "\n").encode()))
