"""The cache folder, and whether the network may be used."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BindplugError, MissingDependency
from .atomic import reason
from .hashing import file_fingerprint


def cache_dir() -> Path:
    """BINDPLUG_HOME, else `bindplug` in the user's cache folder."""
    if home := os.environ.get("BINDPLUG_HOME"):
        return Path(home).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "bindplug").expanduser()


def cache_folder(name: str) -> Path:
    """A folder below `cache_dir`, made if it is not there; BindplugError where it cannot be made
    or written to."""
    folder = cache_dir() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except (OSError, RuntimeError) as err:
        raise BindplugError(
            f"{folder}: cannot be written ({reason(err)}); set BINDPLUG_HOME to another folder"
        ) from err
    return folder


def is_offline() -> bool:
    """Whether BINDPLUG_OFFLINE or HF_HUB_OFFLINE forbids the network."""
    names = ("BINDPLUG_OFFLINE", "HF_HUB_OFFLINE")
    return any(os.environ.get(n, "").lower() in ("1", "true", "yes", "on") for n in names)


@contextmanager
def hub_access() -> Iterator[None]:
    """Hold the Hugging Face hub's library, and all that fetch by it, to `is_offline`.

    For libraries that take no `local_files_only`: the hub reads HF_HUB_OFFLINE once, when it is
    imported, so its constant is set for the block. Applies to the whole process.
    Raises MissingDependency: offline, and a file is not in the hub's cache."""
    if not is_offline():
        yield
        return
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    def nothing(record: logging.LogRecord) -> bool:
        return False

    before, root = constants.HF_HUB_OFFLINE, logging.getLogger()
    constants.HF_HUB_OFFLINE = True
    root.addFilter(nothing)  # open_clip logs there what it raises
    try:
        yield
    except Exception as err:
        cause = err
        while cause and not isinstance(cause, (LocalEntryNotFoundError, OfflineModeIsEnabled)):
            cause = cause.__cause__ or cause.__context__
        if not cause:
            raise
        raise MissingDependency(
            f"not in the hub's cache ({constants.HF_HUB_CACHE}), and bindplug is offline; "
            "run it once with a connection"
        ) from err
    finally:
        constants.HF_HUB_OFFLINE = before
        root.removeFilter(nothing)


def derived_folder(path: Path) -> Path:
    """Where what is made of a file is kept."""
    return cache_dir() / "derived" / file_fingerprint(path)
