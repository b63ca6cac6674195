"""Thermal images to gray values in [0, 1].

ImageBind's authors published no thermal loader. Users reach 62.4 % on LLVIP (paper: 63.4) with
gray values in [0, 1] and no normalisation, 55.2 % with one (ImageBind PR 73); so none is done here.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import BindplugError
from ..imagebind.config import ThermalConfig
from ..storage.source import decoding
from .vision import load_gray, resize_and_crop


def transform_thermal(
    source, config: ThermalConfig, span: tuple[float, float] | None = None
) -> Tensor:
    """One thermal image to (1, S, S) float32 in [0, 1].

    Args:
        source: as in `load_gray`. 8 bits are taken as they are.
        span: the numbers that become black and white, for images of 16 bits or more. None takes
            the image's own 1st and 99th percentiles, since raw counts fill a small part of
            their range.

    Raises BindplugError: unreadable, NaN, or an empty span."""
    data, name = load_gray(source)
    if not np.isfinite(data).all():
        raise BindplugError(f"{name}: holds NaN or infinite values; fill them first")
    gray = data
    if data.dtype != np.uint8 or span is not None:
        problem = f"span {span!r}; give two finite numbers, the smaller first"
        with decoding(name, problem):  # whatever stands in place of numbers
            low, high = map(float, np.percentile(data, (1, 99)) if span is None else span)
            if span is not None and not -np.inf < low < high < np.inf:
                raise ValueError
        width = high - low or 1  # an image of one temperature is black
        gray = (255 * ((data.astype(np.float64) - low) / width).clip(0, 1)).round()
    image = resize_and_crop(Image.fromarray(np.asarray(gray, dtype=np.uint8)), config.image_size)
    return torch.from_numpy(np.array(image)).float()[None] / 255
