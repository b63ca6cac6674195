"""Pictures to normalised tensors, bit for bit as the reference's PIL pipeline."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..errors import BindplugError
from ..imagebind.config import VisionConfig
from ..storage.source import check_file, source_name

MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's, RGB in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)


def image_name(source) -> str:
    """What a picture is called in messages and results."""
    return source_name(source, "image")


def load_image(source, upright: bool = False) -> Image.Image:
    """An RGB picture from a path, file object, PIL image, (H, W, 3) uint8 array or tensor.

    A tensor is (3, H, W), uint8 or floating-point in [0, 1].

    Alpha is dropped, a palette expanded, an animation read at its first frame, 16-bit gray
    scaled to 8 bits.

    Args:
        upright: apply the EXIF orientation. ImageBind's reference leaves it alone, Detic's does
            not.

    Raises:
        BindplugError: absent, not a picture, cut short, or of more than about 179 Mpx.
    """
    name = image_name(source)
    if isinstance(source, Image.Image):
        image = source
    elif isinstance(source, (np.ndarray, Tensor)):
        image = Image.fromarray(_rgb_array(source))
    else:
        image = open_image(source, name)
    try:
        return _to_rgb(ImageOps.exif_transpose(image) if upright else image)
    except (OSError, SyntaxError, ValueError, EOFError) as err:  # PIL's kinds for broken data
        raise BindplugError(
            f"{name}: the picture is cut short or damaged; fetch or save it again"
        ) from err


def open_image(source, name: str) -> Image.Image:
    check_file(source, name, "picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(source)
            image.load()
            return image
    except Image.DecompressionBombError as err:
        raise BindplugError(f"{name}: too many pixels to open safely; shrink the picture") from err
    except UnidentifiedImageError as err:
        raise BindplugError(f"{name}: is not a picture; give a png, jpeg, webp or gif") from err
    except (OSError, SyntaxError, ValueError, EOFError, AttributeError) as err:
        raise BindplugError(
            f"{name}: cannot be read as a picture; it may be cut short or not a picture"
        ) from err


def _rgb_array(source: np.ndarray | Tensor) -> np.ndarray:
    """(H, W, 3) uint8 of an array, or of a tensor (3, H, W) uint8 or float in [0, 1]."""
    if isinstance(source, Tensor):
        if source.is_floating_point() and source.numel() and 0 <= source.min() <= source.max() <= 1:
            source = (source * 255).round().byte()
        if source.ndim == 3 and source.shape[0] == 3:
            source = source.permute(1, 2, 0)
        source = source.detach().cpu().numpy()
    if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8:
        raise BindplugError(
            f"image array of shape {source.shape} {source.dtype}; give (H, W, 3) uint8 RGB, or a "
            "tensor (3, H, W) uint8 or in [0, 1]"
        )
    return np.ascontiguousarray(source)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits; PIL would clip instead of scale
        gray = np.asarray(image).astype(np.int64).clip(0, 65535) >> 8
        image = Image.fromarray(gray.astype(np.uint8))
    return image.convert("RGB")


def resize_and_crop(image: Image.Image, size: int) -> Image.Image:
    """Short side to `size` pixels (bicubic, antialiased), then the central square."""
    width, height = image.size
    short = min(width, height)
    scaled = tuple(size if side == short else int(size * side / short) for side in image.size)
    if scaled != image.size:
        image = image.resize(scaled, Image.Resampling.BICUBIC)
    left, top = (round((side - size) / 2) for side in image.size)
    return image.crop((left, top, left + size, top + size))


def normalise(image: Tensor) -> Tensor:
    """(..., 3, H, W) float32 RGB in [0, 1] to CLIP's mean 0 and deviation 1."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    return (image - mean) / std


def transform_image(source, config: VisionConfig, upright: bool = False) -> Tensor:
    """One picture to (3, image_size, image_size) float32; arguments as in `load_image`."""
    image = resize_and_crop(load_image(source, upright), config.image_size)
    return normalise(torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255)
