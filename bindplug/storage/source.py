"""Where an input comes from: its name for messages, and whether its file is there at all."""

from __future__ import annotations

import os

from ..errors import BindplugError


def source_name(source, otherwise: str) -> str:
    """A path as it is, a file object's or picture's own name, else `otherwise`."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return name if isinstance(name, str) and name else otherwise


def check_file(source, name: str, what: str) -> None:
    """Let through what is no path, and a path with a file of at least a byte.

    Raises:
        BindplugError: absent, a folder, or empty.
    """
    if not isinstance(source, (str, os.PathLike)):
        return
    if not os.path.exists(source):
        raise BindplugError(f"{name}: no such file")
    if os.path.isdir(source):
        raise BindplugError(f"{name}: is a folder, not a {what}")
    if os.path.getsize(source) == 0:
        raise BindplugError(f"{name}: is an empty file")
