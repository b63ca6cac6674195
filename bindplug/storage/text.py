"""Text files that people wrote."""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import BindplugError


def read_text(path: str | Path) -> str:
    """A UTF-8 file, with or without a byte order mark, as a string; "-" is standard input.

    Raises:
        BindplugError: it cannot be read, or is in another encoding.
    """
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
    except OSError as err:
        raise BindplugError(f"{path}: cannot be read ({err.strerror})") from err
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BindplugError(f"{path}: is UTF-16 text; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise BindplugError(f"{path}: is no UTF-8 text; save it as UTF-8") from err
