"""Where clips of fixed length lie in a recording."""

import math
from fractions import Fraction

from ..errors import BindplugError

CLIP_SECONDS = 2  # of sounds and videos


def clip_count(
    clips: int | str, seconds: float, reference: int, length: float = CLIP_SECONDS
) -> int:
    """How many clips "reference", "all" (as many as cover `seconds`) or a number means;
    BindplugError for something else."""
    if clips == "reference":
        return reference
    if clips == "all":
        return max(1, math.ceil(seconds / length))
    if isinstance(clips, int) and not isinstance(clips, bool) and clips > 0:
        return clips
    raise BindplugError(f"clips {clips!r}; give reference, all or a number from 1")


def spread(room: float, clips: int) -> list[Fraction]:
    """Starts of clips, the first at 0, the last at `room` seconds: exact rationals of a float, as
    the reference's sampler has them. Without room all start at 0."""
    return [Fraction(max(room, 0)) * k / max(clips - 1, 1) for k in range(clips)]
