"""The kinds of input: how ImageBind reads each, which files hold it, and how it is described."""

import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module

from ..errors import BindplugError
from ..plugins import NumpyTransform


@dataclass(frozen=True)
class Modality:
    """One kind of input.

    Its transform, `f(source, config, **options)`, returns one tensor, or a tensor of clips with the
    (start, end) seconds of each.
    """

    trunk: str  # the ImageBind trunk that encodes it
    function: str  # "module:name" of its transform, below `bindplug.transforms`
    endings: tuple[str, ...]  # of the files that hold it, in lower case
    help: str  # for the command line

    @property
    def transform(self) -> Callable:
        module, name = self.function.split(":")
        return getattr(import_module(f"bindplug.transforms.{module}"), name)

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the transform's options."""
        return tuple(inspect.signature(self.transform).parameters)[2:]


# fmt: off
_AUDIO = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".m4a", ".opus")
_IMAGE = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff")
_VIDEO = (".mp4", ".mkv", ".webm", ".avi", ".mov")
_DEPTH = (".png", ".tif", ".tiff", ".npy")
MODALITIES = {
    "audio": Modality("audio", "audio:distinct_clips", _AUDIO, "Sound, or the sound of a video."),
    "text": Modality("text", "text:transform_one_text", (), "Text."),
    "image": Modality("vision", "vision:transform_image", _IMAGE, "Image."),
    "video": Modality("vision", "video:transform_video", _VIDEO, "Video."),
    "depth": Modality("depth", "depth:transform_depth", _DEPTH, "Depth image or .npy."),
    "thermal": Modality("thermal", "thermal:transform_thermal", (*_DEPTH, ".jpg", ".jpeg"),
                        "Thermal image or .npy."),
    "imu": Modality("imu", "imu:transform_imu", (".csv",), "IMU recording, CSV."),
}
NUMPY_SETTINGS = {  # of the configuration, by the modalities whose transforms need no torch
    "audio": ("mel_bins", "frames"),
    "text": ("context_length", "vocab_size"),
    "image": ("image_size",),
}
# fmt: on


def modalities_of(trunks: Iterable[str]) -> tuple[str, ...]:
    """The kinds of input that an ImageBind with these trunks encodes."""
    return tuple(name for name, modality in MODALITIES.items() if modality.trunk in trunks)


def prepare(modality: str, item, config, options: dict):
    """One input through ImageBind's transform: `bindplug.plugins.Network.transform`.

    Args:
        config: sizes of the trunk (`bindplug.imagebind.config`).
    """
    x = MODALITIES[modality].transform(item, config, **options)
    return (x[0], tuple(x[1])) if isinstance(x, tuple) else (x[None], ())


def numpy_prepare(modality: str, config) -> NumpyTransform | None:
    """`prepare` without torch: `bindplug.plugins.Network.numpy_transform`."""
    if modality not in NUMPY_SETTINGS:
        return None
    settings = {name: getattr(config, name) for name in NUMPY_SETTINGS[modality]}
    return NumpyTransform(f"imagebind/{modality}", settings)


def check_options(modality: str, options: Iterable[str], known: tuple[str, ...]) -> None:
    """BindplugError for an option that is not among the known ones of this modality."""
    for name in options:
        if name not in known:
            raise BindplugError(
                f"{modality} has no option {name!r}; it has {', '.join(known) or 'none'}"
            )


def options_of(modality: str, options: dict) -> dict:
    """Those of some options that a modality has.
    Raises BindplugError: an option that no modality has."""
    every = {name for of in MODALITIES.values() for name in of.options}
    if unknown := sorted(set(options) - every):
        raise BindplugError(f"no modality has an option {unknown[0]!r}; there are "
                            f"{', '.join(sorted(every))}")  # fmt: skip
    known = MODALITIES[modality].options
    return {k: v for k, v in options.items() if k in known}


def embed_one(embedder, modality: str, value, options: dict):
    """The Embedding of one input, with those of the options that its modality has."""
    return embedder.embed(**{modality: value}, **options_of(modality, options))


def as_items(modality: str, value) -> Iterable:
    """One input or several as an iterable of inputs.

    A list, a generator or another iterator holds several inputs, a tuple too, unless it is
    (array, rate in Hz)."""
    if isinstance(value, tuple):
        second = value[-1] if len(value) == 2 and modality in ("audio", "imu", "video") else ""
        several = isinstance(second, (str, os.PathLike, tuple)) or hasattr(second, "read")
    else:
        several = isinstance(value, list) or hasattr(value, "__next__")
        several = several and not hasattr(value, "read")  # a file is an iterator too
    return value if several else [value]


def label(modality: str, item, index: int) -> str:
    """A path or text as it is, a file object's name, else the modality and a number."""
    from ..storage.source import source_name  # the table above needs no NumPy

    return source_name(item, f"{modality} {index}")
