"""Names for output files: short enough for a file system, and distinct."""

import hashlib
import os
from collections.abc import Iterable

STEM = 120  # bytes of a file name without ending; file systems hold 255, endings and numbers follow


def unique_names(names: Iterable[str]) -> list[str]:
    """File names without endings: cut where they are too long for a file system, and numbered
    where they would collide, with numbers that none of the others has."""
    names = [_shortened(name) for name in names]
    own, used, numbers, out = set(names), set(), {}, []
    for first in names:
        name = first
        while name in used or (name != first and name in own):
            numbers[first] = numbers.get(first, 1) + 1
            name = f"{first}_{numbers[first]}"
        used.add(name)
        out.append(name)
    return out


def _shortened(name: str) -> str:
    data = os.fsencode(name)
    if len(data) <= STEM:
        return name
    kept = data[: STEM - 9].decode("utf-8", "ignore")
    return f"{kept}-{hashlib.sha256(data).hexdigest()[:8]}"
