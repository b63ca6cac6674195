"""Pictures one after another as a film."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from ..storage.atomic import write_file
from ..transforms.audio import load_audio, resample
from ..transforms.media_writer import writing

RATE = 16_000  # Hz
PER_SECOND = 8
BLOCK = 1024  # samples


def write_gif(path: Path, pictures: list) -> None:
    """PIL pictures as a GIF that goes round."""
    first, *rest = pictures
    write_file(
        path,
        lambda f: first.save(
            f, format="GIF", save_all=True, append_images=rest, loop=0,
            duration=1000 // PER_SECOND,
        ),
    )  # fmt: skip


def write_mp4(path: Path, pictures: list, sounds: list[str]) -> None:
    """PIL pictures as an MP4, with one sound fading into the next."""
    wave = crossfade(sounds, len(pictures) / PER_SECOND)
    blocks = ((wave[:, i : i + BLOCK], RATE) for i in range(0, wave.shape[1], BLOCK))
    with writing(path, Fraction(PER_SECOND), pictures[0].size, blocks) as out:
        for i, picture in enumerate(pictures):
            out.write(i / PER_SECOND, np.asarray(picture.convert("RGB")))


def crossfade(sounds: list[str], seconds: float) -> np.ndarray:
    """(1, n) float32 at 16 kHz: two sounds, each repeated as long as needed."""
    length = round(seconds * RATE)
    waves = [resample(*load_audio(s)).mean(0).numpy() for s in sounds]
    waves = [np.resize(w, length) for w in waves]
    fade = np.linspace(0, 1, length, dtype=np.float32)
    return (waves[0] * (1 - fade) + waves[1] * fade)[None]
