"""Images one after another, as an animated GIF or as an MP4 with sound."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from ..storage.atomic import write_file
from ..transforms.media_writer import writing
from ..transforms.resampling import resample_array
from ..transforms.sound_file import read_sound

SAMPLE_RATE = 16_000  # Hz
FRAME_RATE = 8  # images a second
BLOCK = 1024  # samples


def write_gif(path: Path, images: list) -> None:
    """Write PIL images as a GIF that repeats for ever, 8 images a second.
    Raises BindplugError: the file cannot be written."""
    first, *rest = images
    write_file(
        path,
        lambda f: first.save(
            f, format="GIF", save_all=True, append_images=rest, loop=0,
            duration=[120, 130] * (len(images) // 2) + [120] * (len(images) % 2),
        ),
    )  # fmt: skip


def write_mp4(path: Path, images: list, sounds: tuple[str, str]) -> None:
    """Write PIL images of one size as an MP4, 8 images a second, while the first sound fades into
    the second.
    Raises BindplugError: a sound that cannot be read, or a file that cannot be written."""
    wave = crossfade(*sounds, len(images) / FRAME_RATE)
    blocks = ((wave[:, i : i + BLOCK], SAMPLE_RATE) for i in range(0, wave.shape[1], BLOCK))
    with writing(path, Fraction(FRAME_RATE), images[0].size, blocks) as out:
        for i, image in enumerate(images):
            out.write(i / FRAME_RATE, np.asarray(image.convert("RGB")))


def crossfade(start: str, end: str, seconds: float) -> np.ndarray:
    """start * (1 - t) + end * t with t from 0 to 1: (1, n) float32 at 16 kHz; each sound is
    repeated as often as it takes."""
    length = round(seconds * SAMPLE_RATE)
    a, b = (np.resize(resample_array(*read_sound(s)).mean(0), length) for s in (start, end))
    t = np.linspace(0, 1, length, dtype=np.float32)
    return (a * (1 - t) + b * t)[None]
