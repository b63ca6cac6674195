"""The head of a .safetensors file, for writing one tensor after another.

Reading is left to the safetensors library, which has no writer that holds less than all of it.
"""

from __future__ import annotations

import json
import struct


def header_bytes(header: dict) -> bytes:
    """Length in 8 little-endian bytes, then JSON, padded so that tensors lie at multiples of 8."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
