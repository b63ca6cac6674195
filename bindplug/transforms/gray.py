"""One-channel images, 8 or 16 bits or numbers, for depth and thermal."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from ..errors import BindplugError
from ..storage.source import decoding, open_source, to_array


def load_gray(source) -> tuple[np.ndarray, str]:
    """(H, W) array in the numbers of the file, and a name for messages.

    Args:
        source: a path (`.npy`, or an image of 8 or 16 bits), file object, PIL image, tensor or
            array, (H, W) or (1, H, W). Colour images become gray.

    Raises:
        BindplugError: absent, no image, of a wrong shape, empty, or without a finite number.
    """
    from .vision import image_name, open_image

    name = image_name(source)
    if isinstance(source, (str, os.PathLike)) and os.fspath(source).endswith(".npy"):
        problem = "cannot be read as a .npy array; save it again with numpy.save"
        with open_source(source, name, ".npy array") as file, decoding(name, problem):
            data = np.load(file, allow_pickle=False)
    elif hasattr(source, "__array__") and not isinstance(source, Image.Image):
        data = to_array(source, name)
    else:
        image = source if isinstance(source, Image.Image) else open_image(source, name)
        if image.mode not in ("L", "F") and not image.mode.startswith("I"):
            image = image.convert("L")
        data = np.asarray(image)
    if data.ndim == 3 and data.shape[0] == 1:
        data = data[0]
    if data.ndim != 2 or data.size == 0 or data.dtype.kind not in "uif":
        raise BindplugError(
            f"{name}: has shape {data.shape} {data.dtype}; give one channel of numbers, (H, W)"
        )
    if not np.isfinite(data).any():
        raise BindplugError(f"{name}: holds no finite number")
    return data, name
