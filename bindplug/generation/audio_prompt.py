"""Which part of a long sound to go by, and several sounds at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..embedding.vectors import Embedding
from ..errors import BindplugError

WINDOWS = ("mean", "all", "telling")


def listen(embedder, source, window: str = "mean", level: str = "own") -> Embedding:
    """One row of a sound.

    Args:
        source: as in `Embedder.embed`.
        window: "mean" of three clips spread over it, as the reference does; the mean of "all" its
            2 s; or the most "telling" 2 s, those that sound most surely like one thing.
        level: "own", or "peak", which makes quiet and loud recordings alike.

    Raises:
        BindplugError: an unknown window or level, or a sound that cannot be read.
    """
    if window not in WINDOWS:
        raise BindplugError(f"window {window!r}; choose one of {', '.join(WINDOWS)}")
    if level not in ("own", "peak"):
        raise BindplugError(f"level {level!r}; choose own or peak")
    normalize = "none" if level == "own" else level
    if window == "mean":
        return embedder.embed(audio=source, normalize=normalize)
    if window == "all":
        return embedder.embed(audio=source, clips="all", normalize=normalize)
    from ..bridge.bridge import READING, bridge_to

    clips = embedder.embed(audio=source, clips="all", average=False, normalize=normalize)
    sure = bridge_to(clips, READING, "words").weights(clips).max(axis=1)
    return clips[int(sure.argmax())]


def mix_audio(sources: Sequence) -> tuple[np.ndarray, int]:
    """Several sounds at once: ((1, n) float32, 16,000 Hz), as long as the longest, each at a peak
    of 0.9 before they are averaged.

    Raises:
        BindplugError: fewer than two, or one that cannot be read.
    """
    from ..transforms.audio import PEAK, RATE, load_audio, resample

    if len(sources) < 2:
        raise BindplugError("give two sounds or more to be heard at once")
    waves = [resample(*load_audio(s)).mean(0).numpy() for s in sources]
    out = np.zeros(max(map(len, waves)), dtype=np.float32)
    for wave in waves:
        out[: len(wave)] += wave * (PEAK / max(float(np.abs(wave).max()), 1e-5)) / len(waves)
    return out[None], RATE
