"""Sampling rates: torchaudio's default windowed-sinc interpolation, to the rounding of float32."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from torch import Tensor

RATE = 16_000  # Hz, of ImageBind's sounds
CROSSINGS = 6  # zero crossings of the kernel a side
KERNEL = 1 << 20  # most numbers of a kernel of all phases
BLOCK = 1 << 22  # most numbers of the windows that are weighed at a time


def _windowed_sinc(t: np.ndarray, gain: float) -> np.ndarray:
    """gain * sin(pi t) / (pi t) under a Hann window of 6 zero crossings a side."""
    t = t.clip(-CROSSINGS, CROSSINGS)
    window = np.cos(t * (math.pi / CROSSINGS / 2)) ** 2
    t = t * math.pi
    return np.divide(np.sin(t), t, out=np.ones_like(t), where=t != 0) * (window * gain)


@lru_cache(maxsize=16)
def _sinc_kernel(orig: int, new: int) -> tuple[np.ndarray, int]:
    """(new, taps) float32, one row a phase: windowed sinc with roll-off 0.99; and its width."""
    cutoff = min(orig, new) * 0.99
    width = math.ceil(CROSSINGS * orig / cutoff)
    offset = np.arange(-width, width + orig, dtype=np.float32)[None] / orig
    phase = np.arange(0, -new, -1, dtype=np.float32)[:, None] / new
    return _windowed_sinc((phase + offset) * cutoff, cutoff / orig), width


def resample_array(wave: np.ndarray, rate: int, to: int = RATE) -> np.ndarray:
    """(C, n) float32 at `rate` Hz to (C, ceil(n * to / rate)): torchaudio's default sinc
    interpolation."""
    if rate == to:
        return wave
    common = math.gcd(rate, to)
    orig, new = rate // common, to // common
    # The reference rounds the length in float32, which is a sample off for very long files.
    length = int(np.ceil(np.float32(new * wave.shape[1] / orig)))
    if orig * new > KERNEL:
        return _resample_directly(wave, orig, new, length)
    kernel, width = _sinc_kernel(orig, new)
    padded = np.pad(wave, ((0, 0), (width, width + orig)))
    windows = sliding_window_view(padded, kernel.shape[1], axis=1)[:, ::orig]  # (C, blocks, taps)
    step = max(1, BLOCK // kernel.shape[1])
    starts = range(0, windows.shape[1], step)
    out = [
        np.concatenate([channel[s : s + step] @ kernel.T for s in starts]).ravel()
        for channel in windows
    ]
    return np.stack(out)[:, :length]


def resample(wave: Tensor, rate: int, to: int = RATE) -> Tensor:
    """`resample_array` of a CPU tensor."""
    import torch

    return torch.from_numpy(resample_array(wave.numpy(), rate, to))


def _resample_directly(wave: np.ndarray, orig: int, new: int, length: int) -> np.ndarray:
    """The same sum where the rates have hardly a common divisor, so that a kernel of all phases
    would fill gigabytes: weights are computed for each output sample, only where they are not 0."""
    cutoff = min(orig, new) * 0.99 / orig  # cycles a sample, twice
    width = math.ceil(CROSSINGS / cutoff)
    taps = np.arange(-width, width + 2)
    padded = np.pad(wave, ((0, 0), (width, 2 * width + 2)))
    out, step = np.empty((len(wave), length), np.float32), max(1, (1 << 21) // len(taps))
    for start in range(0, length, step):
        m = np.arange(start, min(start + step, length))
        near, phase = m * orig // new, (m * orig % new) / new
        t = ((taps - phase[:, None]) * cutoff).astype(np.float32)
        weights = _windowed_sinc(t, cutoff)
        at = (near[:, None] + taps + width).clip(max=padded.shape[1] - 1)
        for row, channel in zip(out, padded, strict=True):
            row[m] = (channel[at] * weights).sum(1)
    return out
