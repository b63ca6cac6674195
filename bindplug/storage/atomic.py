""" """

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ..errors import BindplugError, FileExists


def make_folder(folder: str | Path) -> Path:
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as err:
        raise BindplugError(
            f"{folder}: cannot be written ({err.strerror}); choose another --output"
        ) from err
    return folder


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    for path in paths:
        if path.exists() and not overwrite:
            raise FileExists(f"{path}: exists")


def write_file(path: Path, write) -> None:
    """Call `write` on a binary file beside `path`, then rename it into place."""
    try:
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
            os.chmod(scratch, 0o644)
            os.replace(scratch, path)
        except BaseException:
            os.unlink(scratch)
            raise
    except OSError as err:
        raise BindplugError(f"{path}: cannot be written ({err.strerror})") from err


def write_json(path: Path, data) -> None:
    write_file(path, lambda f: f.write((json.dumps(data, indent=1) + "\n").encode()))
