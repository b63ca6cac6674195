"""Depth images to disparity.

ImageBind's authors published no depth loader. What is known: in-filled depth is turned into
disparity (paper, appendix B.1), baseline times focal length over depth with 0.075 m for the Kinect
sensors of SUN RGB-D (an author, Omnivore issue 12), and "follow Omnivore", whose code divides a
disparity of at most 75 by 75 and normalises with mean 0.0418 and deviation 0.0295. Whether
ImageBind's own numbers are the same is not known; users reach the paper's figure on SUN RGB-D with
them and stay below it on NYU-D.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BindplugError, check_choice
from ..imagebind.config import DepthConfig
from .vision import load_gray

UNITS = ("metres", "millimetres", "sunrgbd")
NEAR, FAR = 0.01, 50.0  # metres
SUN_FAR = 8.0  # metres, the SUN RGB-D toolbox's limit
MOST, MEAN, STD = 75.0, 0.0418, 0.0295  # Omnivore's, of disparity
BASELINE, FOCAL_LENGTH = 0.075, 518.85790117  # metres, pixels: Kinect v1, as NYU-D and SUN have it


def transform_depth(
    source,
    config: DepthConfig,
    unit: str | None = None,
    baseline: float = BASELINE,
    focal_length: float = FOCAL_LENGTH,
) -> Tensor:
    """One depth image to (1, S, S) float32 normalised disparity.

    Args:
        source: as in `load_gray`. Pixels that are 0 or not finite have no depth; they are filled
            from their neighbours.
        unit: "metres", "millimetres" or "sunrgbd" (SUN RGB-D's 16 bits, shifted round by 3); None
            takes floating-point numbers as metres and 16-bit integers as millimetres.
        baseline: of the stereo camera, metres (0.095 for SUN's RealSense, perhaps its Xtion).
        focal_length: pixels of the image as given.

    Raises BindplugError: unreadable, 8-bit (its unit is unknowable), negative, all holes, or a
    parameter that makes no sense."""
    data, name = load_gray(source)
    if unit is not None:
        check_choice("unit", unit, UNITS)
    for what, value in (("baseline", baseline), ("focal_length", focal_length)):
        if not (isinstance(value, (int, float, np.number)) and 0 < value < np.inf):
            raise BindplugError(f"{what} {value!r}; give a positive number")
    depth = fill_holes(_to_metres(data, unit, name), name)
    disparity = baseline * focal_length / depth.clamp(NEAR, FAR)
    x = disparity.clamp(0.01, MOST) / MOST
    return (resize_square(x, config.image_size) - MEAN) / STD


def _to_metres(data: np.ndarray, unit: str | None, name: str) -> Tensor:
    if unit is None:
        if data.dtype.itemsize == 1:
            raise BindplugError(
                f"{name}: has 8 bits, and depth needs more; give 16-bit millimetres, or metres as "
                "floating-point numbers"
            )
        unit = "metres" if data.dtype.kind == "f" else "millimetres"
    if unit == "sunrgbd":
        if data.dtype.kind == "f" or data.min() < 0 or data.max() > 0xFFFF:
            raise BindplugError(f"{name}: is {data.dtype}; SUN RGB-D's images have 16 bits")
        packed = data.astype(np.uint16)
        metres = ((packed >> 3) | (packed << 13)).astype(np.float32) / 1000
        return torch.from_numpy(np.minimum(metres, np.float32(SUN_FAR)))
    depth = data.astype(np.float32)
    if (depth < 0).any():
        raise BindplugError(f"{name}: has negative depth; is it disparity or signed data?")
    return torch.from_numpy(depth / 1000 if unit == "millimetres" else depth)


def fill_holes(depth: Tensor, name: str = "depth") -> Tensor:
    """(H, W) metres with 0 and non-finite pixels replaced, ring by ring, by their neighbours' mean;
    BindplugError where there are only holes."""
    known = torch.isfinite(depth) & (depth > 0)
    if not known.any():
        raise BindplugError(f"{name}: has no pixel with a depth")
    depth = depth.masked_fill(~known, 0)
    while not known.all():
        weight = F.avg_pool2d(known[None].float(), 3, 1, 1)[0]
        mean = F.avg_pool2d(depth[None], 3, 1, 1)[0] / weight.clamp(min=1e-6)
        ring = ~known & (weight > 0)
        depth = torch.where(ring, mean, depth)
        known = known | ring
    return depth


def resize_square(x: Tensor, size: int) -> Tensor:
    """(H, W) to (1, size, size): short side to `size`, bilinear as a tensor, central square."""
    shape = [int(size * n / min(x.shape)) if n > min(x.shape) else size for n in x.shape]
    x = F.interpolate(x[None, None], shape, mode="bilinear", align_corners=False)[0]
    top, left = (round((n - size) / 2) for n in shape)
    return x[:, top : top + size, left : left + size]
