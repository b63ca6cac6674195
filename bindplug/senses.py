"""The senses that ImageBind has: how each input becomes the clips that its trunk reads."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module

from .errors import BindplugError


@dataclass(frozen=True)
class Sense:
    """One kind of input.

    Attributes:
        network: the network's name of the trunk that reads it.
        where: module and function of the transform, `f(source, config, **options)`, which gives
            one tensor, or a tensor of clips with the seconds that each spans.
    """

    network: str
    where: str

    @property
    def transform(self) -> Callable:
        module, function = self.where.split(":")
        return getattr(import_module(f".transforms.{module}", __package__), function)

    @property
    def options(self) -> list[str]:
        return list(inspect.signature(self.transform).parameters)[2:]


SENSES = {
    "image": Sense("vision", "vision:transform_image"),
    "video": Sense("vision", "video:transform_video"),
    "text": Sense("text", "text:transform_one_text"),
    "audio": Sense("audio", "audio:distinct_clips"),
    "depth": Sense("depth", "depth:transform_depth"),
    "thermal": Sense("thermal", "thermal:transform_thermal"),
    "imu": Sense("imu", "imu:transform_imu"),
}


def spoken(network_senses) -> tuple[str, ...]:
    """The kinds of input that a network with these trunks takes."""
    return tuple(name for name, sense in SENSES.items() if sense.network in network_senses)


def prepare(modality: str, item, config, options: dict):
    """(clips, ...) tensor of one input, and the seconds that each clip spans, () for stills."""
    x = SENSES[modality].transform(item, config, **options)
    return (x[0], tuple(x[1])) if isinstance(x, tuple) else (x[None], ())


def check_options(modality: str, options: dict) -> None:
    """
    Raises:
        BindplugError: an option that this sense does not have.
    """
    known = SENSES[modality].options
    for name in options:
        if name not in known:
            raise BindplugError(
                f"{modality} has no option {name!r}; it has {', '.join(known) or 'none'}"
            )


def options_of(modality: str, options: dict) -> dict:
    """Those of some options that a sense has."""
    known = SENSES[modality].options
    return {k: v for k, v in options.items() if k in known}


def as_items(modality: str, value) -> Iterable:
    """One input or several as an iterable of inputs.

    A list, a generator or another iterator holds several inputs, a tuple too, unless it is
    (array, rate in Hz).
    """
    if isinstance(value, tuple):
        one = modality in ("audio", "imu", "video") and len(value) == 2 and not _is_source(value[1])
        return [value] if one else value
    if isinstance(value, list) or (hasattr(value, "__next__") and not hasattr(value, "read")):
        return value
    return [value]


def _is_source(value) -> bool:
    return isinstance(value, (str, os.PathLike, tuple)) or hasattr(value, "read")


def label(modality: str, item, index: int) -> str:
    """A path or text as it is, a file object's name, else the modality and a number."""
    from .transforms.source import source_name

    return source_name(item, f"{modality} {index}")
