"""The head of a .safetensors file: its length in 8 little-endian bytes, then JSON."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from ..errors import BindplugError


def header_bytes(header: dict) -> bytes:
    """What a file begins with; the JSON is padded so that the tensors lie at multiples of 8."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def read_header(path: Path) -> tuple[dict, int]:
    """The JSON, and where the tensors begin, bytes.

    Raises:
        BindplugError: it is no such file.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError("length")
            return json.loads(file.read(length)), 8 + length
    except (OSError, ValueError, struct.error) as err:
        raise BindplugError(f"{path}: is no safetensors file; make it again") from err
