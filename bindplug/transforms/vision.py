"""Images: read, also in one channel, and to normalised tensors, bit for bit as the reference's PIL
pipeline."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import BindplugError, check_choice
from ..imagebind.config import VisionConfig
from ..storage.source import decoding, open_source, source_name, to_array

if TYPE_CHECKING:
    from torch import Tensor

MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's, RGB in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)

ORIENTATION = 0x0112  # EXIF tag
_T = Image.Transpose
TURNS = {
    2: _T.FLIP_LEFT_RIGHT, 3: _T.ROTATE_180, 4: _T.FLIP_TOP_BOTTOM, 5: _T.TRANSPOSE,
    6: _T.ROTATE_270, 7: _T.TRANSVERSE, 8: _T.ROTATE_90,
}  # of EXIF's orientations  # fmt: skip

# For the whole process, since images are read in threads and `catch_warnings` is not safe there;
# twice as many pixels still raise an error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def image_name(source) -> str:
    """What an image is called in messages and results."""
    return source_name(source, "image")


def load_image(source, upright: bool = False) -> Image.Image:
    """An RGB image from a path, file object, PIL image, (H, W, 3) uint8 array or tensor.

    A tensor is (3, H, W), uint8 or floating-point in [0, 1]. Alpha is dropped, a palette expanded,
    an animation read at its first frame. Gray of more than 8 bits is scaled by the range that its
    values need: integers to 8 or 16 bits, floating-point numbers to [0, 1], 8 or 16 bits.

    Args:
        upright: apply the EXIF orientation. ImageBind's reference leaves it alone, Detic's does
            not.

    Raises BindplugError: absent, not an image, damaged, without pixels, of more than about 179 Mpx,
    or gray beyond 16 bits; another `upright` than True or False."""
    check_choice("upright", upright, (True, False))
    name = image_name(source)
    if isinstance(source, Image.Image):
        image = source
    elif isinstance(source, np.ndarray) or is_tensor(source):
        array = _rgb_array(source)
        image = Image.fromarray(array) if array.size else Image.new("RGB", (0, 0))
    else:
        image = open_image(source, name)
    if 0 in image.size:
        raise BindplugError(f"{name}: holds no pixels; is it an empty crop?")
    with decoding(name, "the image is cut short or damaged; fetch or save it again"):
        return _to_rgb(_turn_upright(image) if upright else image, name)


def load_gray(source) -> tuple[np.ndarray, str]:
    """(H, W) array in the numbers of the file, and a name for messages.

    Args:
        source: a path (`.npy`, or an image of 8 or 16 bits), file object, PIL image, tensor or
            array, (H, W) or (1, H, W). Colour images become gray.

    Raises BindplugError: absent, no image, of a wrong shape, empty, or without a finite number."""
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


def open_image(source, name: str) -> Image.Image:
    """A decoded PIL image of a path or file object.
    Raises BindplugError: absent, not an image, damaged, or of more than about 179 Mpx."""
    problem = "cannot be read as an image; it may be cut short or not an image"
    with open_source(source, name, "image") as file, decoding(name, problem):
        try:
            image = Image.open(file)
            image.load()
            return image
        except Image.DecompressionBombError as err:
            raise BindplugError(
                f"{name}: too many pixels to open safely; shrink the image"
            ) from err
        except UnidentifiedImageError as err:
            raise BindplugError(f"{name}: is not an image; give a png, jpeg, webp or gif") from err


def _turn_upright(image: Image.Image) -> Image.Image:
    """An image turned by its EXIF orientation, whatever state its other tags are in, by which
    Pillow's own `exif_transpose` fails."""
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION))
    except Exception:  # tags that cannot be read at all
        turn = None
    if turn is None:
        return image
    image = image.transpose(turn)
    image.info.pop("exif", None)  # else who opens it next would turn it again
    image.getexif().pop(ORIENTATION, None)
    return image


def is_tensor(source) -> bool:
    """Whether it is one of torch's, which is not imported to say so."""
    return hasattr(source, "detach") and hasattr(source, "is_floating_point")


def _rgb_array(source: np.ndarray | Tensor) -> np.ndarray:
    """(H, W, 3) uint8 of an array, or of a tensor (3, H, W) uint8 or float in [0, 1]."""
    if is_tensor(source):
        source = source.detach()
        if source.is_floating_point() and source.numel() and 0 <= source.min() <= source.max() <= 1:
            source = (source * 255).round().byte()
        if source.ndim == 3 and source.shape[0] == 3:
            source = source.permute(1, 2, 0)
    source = to_array(source, "image array")
    if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8:
        raise BindplugError(
            f"image array of shape {source.shape} {source.dtype}; give (H, W, 3) uint8 RGB, or a "
            "tensor (3, H, W) uint8 or in [0, 1]"
        )
    return np.ascontiguousarray(source)


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode[0] in "IF":  # more than 8 bits, which PIL would clip instead of scale
        gray = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=np.inf).clip(min=0)
        peak = gray.max()
        if peak > 0xFFFF:
            raise BindplugError(f"{name}: has values up to {peak:g}; give 8 or 16 bits, or 0 to 1")
        if image.mode == "F" and peak <= 1:
            gray = (gray * 255).round()
        elif peak > 0xFF or image.mode.startswith("I;"):  # a file of 16 bits, also a dark one
            gray = gray // 256
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


def image_array(source, config: VisionConfig, upright: bool = False) -> np.ndarray:
    """One image to (3, image_size, image_size) float32; arguments as in `load_image`."""
    return normalise(unit_range(resize_and_crop(load_image(source, upright), config.image_size)))


def unit_range(image: Image.Image | np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB to (3, H, W) float32 in [0, 1]."""
    return np.asarray(image).transpose(2, 0, 1).astype(np.float32) / 255


def normalise(image):
    """(..., 3, H, W) float32 RGB in [0, 1], array or CPU tensor, to CLIP's mean 0 and deviation
    1."""
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (MEAN, STD))
    if is_tensor(image):
        import torch

        mean, std = map(torch.from_numpy, (mean, std))
    return (image - mean) / std


def transform_image(source, config: VisionConfig, upright: bool = False) -> Tensor:
    """`image_array` as a tensor."""
    import torch

    return torch.from_numpy(image_array(source, config, upright))
