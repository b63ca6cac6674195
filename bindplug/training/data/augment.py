"""Augmentations by the paper's names: on sources before a transform, and on tensors after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...errors import BindplugError
from ...transforms.imu import RATE, load_imu, sampled
from ...transforms.sound_file import read_sound
from ...transforms.vision import load_gray, load_image
from .augment_sound import add_noise, equalize, low_pass, window
from .randaugment import color_jitter, randaugment

STILLS = ("image", "depth", "thermal")
SETS = {
    "image": {
        "basic": "crop,flip,color_jitter",
        "strong": "crop,flip,color_jitter,randaugment,random_erasing",
    },
    "depth": {"basic": "crop,flip", "strong": "crop,flip,random_erasing"},
    "thermal": {"basic": "crop,flip", "strong": "crop,flip,random_erasing"},
    "audio": {
        "basic": "window",
        "strong": "window,frequency_mask,time_mask",
        "recordings": "window:4,speed,equalizer,noise,low_pass,frequency_mask,time_mask",
    },
    "imu": {"basic": "window"},
}
DEFAULTS = {
    "crop": 0.5, "flip": 0.5, "color_jitter": 0.4, "randaugment": 9, "random_erasing": 0.25,
    "window": 1, "frequency_mask": 12, "time_mask": 48,
    "speed": 0.25, "equalizer": 6, "noise": 15, "low_pass": 3000,
}  # fmt: skip
OF_STILLS = ("crop", "flip", "color_jitter", "randaugment", "random_erasing")
OF_IMAGES = ("color_jitter", "randaugment")
OF_WINDOWS = ("speed", "equalizer", "noise", "low_pass")  # of sounds


@dataclass(frozen=True)
class Augmentation:
    """Steps of one modality by name, each with its number: crop (least share of the area), flip
    (probability), color_jitter (strength), randaugment (magnitude of 0 to 30), random_erasing
    (probability), window (a random clip of a recording, the loudest of so many), speed (a quarter
    faster or slower), equalizer (dB), noise (least dB below the sound), low_pass (lowest Hz),
    frequency_mask (most bands), time_mask (most frames)."""

    steps: tuple[tuple[str, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)

    def number(self, name: str) -> float | None:
        return dict(self.steps).get(name)


def parse_augmentations(texts: tuple[str, ...], modalities: list[str]) -> dict[str, Augmentation]:
    """Augmentations of some modalities from MODALITY=SET or MODALITY=NAME[:NUMBER],...; those that
    no text names are "basic".

    Raises BindplugError: another modality, an unknown name, or one that is not for it."""
    given = {}
    for text in texts:
        modality, is_pair, value = text.partition("=")
        if not is_pair or modality not in modalities:
            known = ", ".join(modalities)
            raise BindplugError(f"augmentation {text!r}; write MODALITY=..., of {known}")
        given[modality] = value
    return {m: _parse(m, given.get(m, "basic")) for m in modalities}


def _parse(modality: str, text: str) -> Augmentation:
    sets = SETS.get(modality, {})
    text = sets.get(text, "" if text in ("none", "basic") else text)
    steps = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, number = part.partition(":")
        name = name.replace("-", "_")
        if name not in DEFAULTS or not _is_for(name, modality):
            known = [n for n in DEFAULTS if _is_for(n, modality)]
            raise BindplugError(
                f"no augmentation {name!r} of {modality}; there are none, "
                f"{', '.join([*sets, *known]) or 'and that is all'}"
            )
        try:
            value = float(number or DEFAULTS[name])
        except ValueError as err:
            raise BindplugError(f"augmentation {part!r}: {number!r} is not a number") from err
        if not value >= 0 or (name in ("crop", "flip", "random_erasing") and value > 1):
            raise BindplugError(f"augmentation {part!r}: out of range")
        steps.append((name, value))
    names = [name for name, _ in steps]
    if "window" not in names and (other := next((n for n in names if n in OF_WINDOWS), None)):
        raise BindplugError(f"augmentation {other!r} is of a window; write window,{text}")
    return Augmentation(tuple(steps))


def _is_for(name: str, modality: str) -> bool:
    if name in OF_IMAGES:
        return modality == "image"
    if name in OF_STILLS:
        return modality in STILLS
    return modality in ("audio", "imu") if name == "window" else modality == "audio"


@dataclass(frozen=True)
class Geometry:
    """A random crop and flip, which image and depth of a row share: numbers in [0, 1)."""

    area: float
    ratio: float
    x: float
    y: float
    flip: float

    def box(self, width: int, height: int, least: float) -> tuple[int, int, int, int]:
        """A rectangle of a share of the area between `least` and 1, its sides' ratio between 3 / 4
        and 4 / 3 times that of the whole, as torchvision's RandomResizedCrop."""
        share = least + (1 - least) * self.area
        ratio = (4 / 3) ** (2 * self.ratio - 1)
        w = min(1.0, (share * ratio) ** 0.5)
        h = min(1.0, share / w)
        left, top = self.x * (1 - w) * width, self.y * (1 - h) * height
        right, bottom = left + w * width, top + h * height
        left, top = int(left), int(top)
        return left, top, max(left + 1, round(right)), max(top + 1, round(bottom))


def augment_source(
    source, modality: str, of: Augmentation, geometry: Geometry, rng: np.random.Generator,
    seconds: float | None = None, rate: float | None = None,
):  # fmt: skip
    """A source, changed before its transform.

    Args:
        source: what the transform takes.
        geometry: of the crop and the flip.
        rng: of what is the modality's own.
        seconds: of a window.
        rate: Hz of motion that does not say its own.

    Raises BindplugError: it cannot be read."""
    if not of:
        return source
    if modality in STILLS:
        still = load_image(source) if modality == "image" else load_gray(source)[0]
        if (least := of.number("crop")) is not None:
            still = _crop(still, geometry, least)
        if geometry.flip < (of.number("flip") or 0):
            still = np.ascontiguousarray(np.asarray(still)[:, ::-1])
            still = Image.fromarray(still) if modality == "image" else still
        if strength := of.number("color_jitter"):
            still = color_jitter(still, strength, rng)
        if (magnitude := of.number("randaugment")) is not None:
            still = randaugment(still, magnitude, rng)
        return still
    if of.number("window") is not None and seconds:
        if modality == "audio":
            return _sound_window(source, of, seconds, rng)
        if modality == "imu":
            return _motion_window(source, rate, seconds, rng)
    return source


def _sound_window(
    source, of: Augmentation, seconds: float, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """A part of a sound, and what is done to it, at its rate in Hz."""
    wave, rate = read_sound(source)
    draws = max(int(of.number("window") or 0), 1)
    wave, rate = window(wave, rate, seconds, draws, of.number("speed") or 0, rng)
    if most := of.number("equalizer"):
        wave = equalize(wave, rate, most, rng)
    if (least := of.number("noise")) is not None:
        wave = add_noise(wave, least, rng)
    if least := of.number("low_pass"):
        wave = low_pass(wave, rate, least, rng)
    return wave, rate


def _motion_window(source, rate: float | None, seconds: float, rng: np.random.Generator):
    """A random part of motion at the transform's own rate; a shorter one as it is."""
    data, time, length, _ = load_imu(source, rate)
    room = length - seconds
    if room <= 0:
        return source
    return sampled(data, time, rng.random() * room, round(seconds * RATE)), RATE


def _crop(still, geometry: Geometry, least: float):
    if isinstance(still, Image.Image):
        return still.crop(geometry.box(*still.size, least))
    left, top, right, bottom = geometry.box(still.shape[1], still.shape[0], least)
    return still[top:bottom, left:right]


def augment_clip(
    x: Tensor, of: Augmentation, rng: np.random.Generator, frequency_axis: int | None
) -> Tensor:
    """One clip after its transform, (C, H, W) or a spectrogram, with parts masked by 0, which is
    about the mean.

    Args:
        frequency_axis: of a spectrogram, -2 or -1; the other of both is time.
    """
    masks: list[Callable[[Tensor], Tensor]] = []
    if (chance := of.number("random_erasing")) is not None and rng.random() < chance:
        masks.append(lambda x: _erase(x, rng))
    if frequency_axis is not None:
        axes = (frequency_axis, -3 - frequency_axis)
        for name, axis in zip(("frequency_mask", "time_mask"), axes, strict=True):
            if most := of.number(name):
                masks.append(lambda x, a=axis, n=most: _mask(x, a, n, rng))
    for mask in masks:
        x = mask(x)
    return x


def _mask(x: Tensor, axis: int, most: float, rng: np.random.Generator) -> Tensor:
    """A stripe of 0 to `most` lines across an axis (SpecAugment, arXiv 1904.08779)."""
    size = x.shape[axis]
    width = int(rng.random() * (min(most, size) + 1))
    start = int(rng.random() * (size - width + 1))
    x = x.clone()
    x.narrow(axis, start, width).zero_()
    return x


def _erase(x: Tensor, rng: np.random.Generator) -> Tensor:
    """A rectangle of 2 to 33 % of the area, filled with noise of deviation 1 (arXiv 1708.04896)."""
    height, width = x.shape[-2:]
    area = height * width * (0.02 + 0.31 * rng.random())
    ratio = 3.3 ** (2 * rng.random() - 1)
    h, w = min(height, round((area * ratio) ** 0.5)), min(width, round((area / ratio) ** 0.5))
    top, left = int(rng.random() * (height - h + 1)), int(rng.random() * (width - w + 1))
    noise = torch.from_numpy(rng.standard_normal((*x.shape[:-2], h, w), dtype=np.float32))
    x = x.clone()
    x[..., top : top + h, left : left + w] = noise
    return x
