"""The transforms that need no torch, by the names that manifests know them by."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from ...errors import BindplugError


def _imagebind_audio(mel_bins: int, frames: int) -> Callable:
    from ...imagebind import AudioConfig
    from ...transforms.audio import clip_arrays

    return partial(clip_arrays, config=AudioConfig(mel_bins=mel_bins, frames=frames))


def _imagebind_image(image_size: int) -> Callable:
    from ...imagebind import VisionConfig
    from ...transforms.vision import image_array

    return partial(image_array, config=VisionConfig(image_size=image_size))


def _imagebind_text(context_length: int, vocab_size: int) -> Callable:
    from ...imagebind import TextConfig
    from ...transforms.text import text_array

    sizes = TextConfig(context_length=context_length, vocab_size=vocab_size)
    return partial(text_array, config=sizes)


def _small_audio() -> Callable:
    from ..small.log_mel import sound_blocks

    return sound_blocks


def _small_image(size: int) -> Callable:
    from ..small.pixels import image_pixels

    return partial(image_pixels, size=size)


def _small_text(keys: np.ndarray, rows: np.ndarray) -> Callable:
    from ..small.words import WordTable

    return WordTable(keys, rows)


TRANSFORMS = {  # each called with the manifest's settings and arrays
    "imagebind/audio": _imagebind_audio,
    "imagebind/image": _imagebind_image,
    "imagebind/text": _imagebind_text,
    "small/audio": _small_audio,
    "small/image": _small_image,
    "small/text": _small_text,
}


class ArrayTransform:
    """One input to clips, as `bindplug.plugins.Network.transform`, in NumPy.

    Args:
        name: in TRANSFORMS.
        settings, arrays: as in `bindplug.plugins.NumpyTransform`.

    Attributes:
        options: names of the options that it takes.

    Raises BindplugError: an unknown name, or settings that it does not take."""

    def __init__(self, name: str, settings: Mapping, arrays: Mapping[str, np.ndarray]):
        if name not in TRANSFORMS:
            raise BindplugError(f"no transform {name!r}; there are: {', '.join(TRANSFORMS)}")
        try:
            self._transform = TRANSFORMS[name](**settings, **arrays)
        except TypeError as err:
            raise BindplugError(f"transform {name!r} with {sorted(settings)}: {err}") from err
        given = getattr(self._transform, "keywords", {})
        self.options = tuple(
            n for n in list(inspect.signature(self._transform).parameters)[1:] if n not in given
        )

    def __call__(self, item, **options) -> tuple[np.ndarray, tuple]:
        x = self._transform(item, **options)
        return (x[0], tuple(x[1])) if isinstance(x, tuple) else (x[None], ())
