"""One process at a time at a file that several may want to make."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BindplugError
from .atomic import reason

log = logging.getLogger("bindplug")


@contextmanager
def locked(path: str | Path, tell: Callable[[str], object] = log.warning) -> Iterator[None]:
    """Hold a file or folder for this block; wait, and `tell` so, while another process or thread
    holds it.

    The lock itself lies in the system's folder for temporary files and goes with its process, so
    nothing is left beside the path and no dead process holds it. It is not reentrant.
    Raises BindplugError: no lock can be had."""
    from filelock import FileLock, Timeout

    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:24]
    user = os.getuid() if hasattr(os, "getuid") else ""
    folder = Path(tempfile.gettempdir(), f"bindplug-locks-{user}")
    lock = FileLock(folder / name, thread_local=False)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            tell(f"{path}: is in use by another bindplug; waiting for it to end")
            lock.acquire()
    except OSError as err:
        raise BindplugError(f"{path}: cannot be locked ({reason(err)})") from err
    try:
        yield
    finally:
        lock.release()
