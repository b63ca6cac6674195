"""RandAugment (Cubuk et al., arXiv 1909.13719) and colour jitter by torchvision's operations, with
the randomness of a given generator: torchvision's own classes draw from a global one, which threads
that decode ahead would share."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torchvision.transforms.v2 import functional as ops

OPERATIONS = 2  # of an image
LARGEST = 30  # magnitude
# Of each operation the change at the largest magnitude; the sign of those named below is random.
RANGES = {
    "identity": 0, "shear_x": 0.3, "shear_y": 0.3, "translate_x": 150 / 331,
    "translate_y": 150 / 331, "rotate": 30, "brightness": 0.9, "color": 0.9, "contrast": 0.9,
    "sharpness": 0.9, "posterize": 4, "solarize": 256, "autocontrast": 0, "equalize": 0,
}  # fmt: skip
FACTORS = {
    "brightness": ops.adjust_brightness,
    "color": ops.adjust_saturation,
    "contrast": ops.adjust_contrast,
    "sharpness": ops.adjust_sharpness,
}


def randaugment(image: Image.Image, magnitude: float, rng: np.random.Generator) -> Image.Image:
    """An RGB image after two random operations of a magnitude from 0 to 30."""
    for _ in range(OPERATIONS):
        name = list(RANGES)[int(rng.random() * len(RANGES))]
        sign = 1 if rng.random() < 0.5 else -1
        image = _apply(image, name, min(magnitude, LARGEST) / LARGEST * RANGES[name], sign)
    return image


def _apply(image: Image.Image, name: str, size: float, sign: int) -> Image.Image:
    if name in FACTORS:
        return FACTORS[name](image, 1 + sign * size)
    if name == "posterize":
        return ops.posterize(image, 8 - round(size))
    if name == "solarize":
        return ops.solarize(image, min(255, 256 - size))
    if name == "autocontrast":
        return ops.autocontrast(image)
    if name == "equalize":
        return ops.equalize(image)
    if name == "identity":
        return image
    shear, shift, angle = [0.0, 0.0], [0, 0], 0.0
    axis = int(name.endswith("y"))
    if name.startswith("shear"):
        shear[axis] = float(np.rad2deg(np.arctan(sign * size)))
    elif name.startswith("translate"):
        shift[axis] = round(sign * size * image.size[axis])
    else:
        angle = sign * size
    return ops.affine(image, angle=angle, translate=shift, scale=1.0, shear=shear)


def color_jitter(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast and saturation times a factor within 1 +- strength, hue turned by up to
    a quarter of it (at most a tenth of the circle), in a random order."""
    low, high = max(0.0, 1 - strength), 1 + strength
    changes = [ops.adjust_brightness, ops.adjust_contrast, ops.adjust_saturation, ops.adjust_hue]
    for i in rng.permutation(len(changes)):
        if changes[i] is ops.adjust_hue:
            turn = min(strength / 4, 0.1)
            image = ops.adjust_hue(image, turn * (2 * rng.random() - 1))
        else:
            image = changes[i](image, low + (high - low) * rng.random())
    return image
