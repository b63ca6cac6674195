"""Images to numbers in [-1, 1], in NumPy."""

import numpy as np

from ...transforms.vision import load_image, resize_and_crop, unit_range

MARGIN = 256 / 224  # side of the resized image over that of the crop


def scale(image):
    """RGB in [0, 1] to [-1, 1]."""
    return image * 2 - 1


def image_pixels(source, size: int, upright: bool = False) -> np.ndarray:
    """One image to (3, size, size) float32 RGB in [-1, 1]: short side to size * 256 / 224 pixels
    (bicubic), then the central square.

    Args:
        source, upright: as in `bindplug.transforms.vision.load_image`.
    """
    image = resize_and_crop(load_image(source, upright), round(size * MARGIN))
    edge = (image.width - size) // 2
    return scale(unit_range(image.crop((edge, edge, edge + size, edge + size))))
