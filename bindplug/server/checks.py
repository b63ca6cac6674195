"""What an upload is, and whether it is small enough, before anything of it is decoded."""

import io
import math

import numpy as np

from ..errors import BindplugError
from .settings import Limits
from .uploads import Upload

IMAGES = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # as Pillow names them
NPY = b"\x93NUMPY"
CHANNEL_RATE = 192_000  # samples a second over all channels, on average


def check_input(modality: str, upload, limits: Limits, rate: float | None = None):
    """An upload (or a text) as `Embedder.embed` takes it: as it is, or what is in a .npy.

    Args:
        rate: Hz of a sound, a video or motion that is an array.

    Raises BindplugError: it is too large, too long, or nothing of its modality."""
    if modality == "text":
        return upload
    if not upload.getbuffer().nbytes:
        raise BindplugError(f"{upload.name}: is an empty file")
    if upload.getbuffer()[: len(NPY)] == NPY:
        return _array(modality, read_npy(upload), upload.name, limits, rate)
    if modality in ("image", "depth", "thermal"):
        check_image(upload, limits)
    elif modality == "audio":
        check_sound(upload, limits)
    elif modality == "video":
        _check_video(upload, limits)
    return upload


def check_image(upload: Upload, limits: Limits) -> None:
    """By its header alone."""
    from PIL import Image, UnidentifiedImageError

    Image.init()
    known = [name for name in IMAGES if name in Image.OPEN]  # as this Pillow was built
    try:
        with Image.open(io.BytesIO(upload.getvalue()), formats=known) as image:
            width, height = image.size
    except UnidentifiedImageError as err:
        known = ", ".join(known).lower()
        raise BindplugError(f"{upload.name}: is not an image; send {known}") from err
    except Image.DecompressionBombError as err:
        raise BindplugError(f"{upload.name}: too many pixels; shrink the image") from err
    except Exception as err:  # damaged headers raise many kinds
        raise BindplugError(f"{upload.name}: cannot be read as an image") from err
    _check_pixels(upload.name, width, height, limits)


def _check_pixels(name: str, width: int, height: int, limits: Limits) -> None:
    if width * height > limits.pixels:
        raise BindplugError(
            f"{name}: {width} x {height} pixels are more than {limits.pixels / 1e6:g} million; "
            "shrink it"
        )


def _check_seconds(name: str, seconds: float, limits: Limits) -> None:
    if not seconds <= limits.seconds:
        told = "an unknown length" if math.isinf(seconds) else f"{seconds:.0f} seconds"
        raise BindplugError(f"{name}: {told}; send {limits.seconds:g} seconds or less")


def check_sound(upload: Upload, limits: Limits) -> None:
    """Of a sound, or of a video's sound."""
    from ..transforms.length import sound_length

    length = sound_length(upload)
    _check_seconds(upload.name, length.seconds, limits)
    if length.seconds * length.rate * length.channels > limits.seconds * CHANNEL_RATE:
        raise BindplugError(
            f"{upload.name}: {length.channels} channels of {length.rate} Hz are too many samples; "
            "send fewer channels or a lower rate"
        )


def _check_video(upload: Upload, limits: Limits) -> None:
    from ..transforms.length import video_length

    length = video_length(upload)
    _check_seconds(upload.name, length.seconds, limits)
    _check_pixels(upload.name, length.width, length.height, limits)


def read_npy(upload: Upload) -> np.ndarray:
    """The array of a .npy: numbers only, whose header says as many as there are.
    Raises BindplugError: another file."""
    head = np.lib.format
    file = io.BytesIO(upload.getvalue())
    try:
        version = head.read_magic(file)
        read = head.read_array_header_1_0 if version == (1, 0) else head.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.hasobject or dtype.kind not in "uif" or dtype.itemsize > 8:
            raise ValueError
        count = math.prod(shape)
        if count < 0 or count * dtype.itemsize != upload.getbuffer().nbytes - file.tell():
            raise ValueError
        array = np.frombuffer(upload.getbuffer(), dtype, count, file.tell())
        array = array.astype(dtype.newbyteorder("="))  # a copy, which may be written to
        return array.reshape(shape, order="F" if fortran else "C")
    except Exception as err:  # the header's parser raises many kinds
        raise BindplugError(f"{upload.name}: is not a .npy with an array of numbers") from err


def _array(modality: str, array: np.ndarray, name: str, limits: Limits, rate: float | None):
    if modality in ("image", "depth", "thermal"):
        if array.ndim < 2:
            raise BindplugError(f"{name}: shape {array.shape}; an image is (H, W, 3) or (H, W)")
        channels = 3 if array.ndim > 2 and array.shape[-1] == 3 else 1
        _check_pixels(name, array.size // channels, 1, limits)
        return array
    if rate is None or not 0 < rate < 1e7:
        raise BindplugError(f"{name}: give the field rate, in Hz, for a {modality} in a .npy")
    if modality == "audio":
        samples = max(array.shape, default=0)
        if array.size > limits.seconds * CHANNEL_RATE:
            raise BindplugError(f"{name}: {array.size} samples are too many; send a shorter sound")
    elif modality == "video":
        samples = array.shape[0] if array.ndim else 0
        if array.ndim > 2:
            _check_pixels(name, *array.shape[2:0:-1], limits)
    else:
        samples = max(array.shape, default=0)
    _check_seconds(name, samples / rate, limits)
    whole = int(rate) if float(rate).is_integer() else rate
    return array, whole
