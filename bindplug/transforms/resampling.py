"""Sampling rates: torchaudio's default windowed-sinc interpolation, to the rounding of float32."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

RATE = 16_000  # Hz, of ImageBind's sounds
CROSSINGS = 6  # zero crossings of the kernel a side
KERNEL = 1 << 20  # most numbers of a kernel of all phases


def _windowed_sinc(t: Tensor, gain: float) -> Tensor:
    """gain * sin(pi t) / (pi t) under a Hann window of 6 zero crossings a side."""
    t = t.clamp(-CROSSINGS, CROSSINGS)
    window = torch.cos(t * math.pi / CROSSINGS / 2) ** 2
    t = t * math.pi
    return torch.where(t == 0, torch.ones_like(t), t.sin() / t) * (window * gain)


@lru_cache(maxsize=16)
def _sinc_kernel(orig: int, new: int) -> tuple[Tensor, int]:
    """(new, 1, taps) float32, one row a phase: windowed sinc with roll-off 0.99; and its width."""
    cutoff = min(orig, new) * 0.99
    width = math.ceil(CROSSINGS * orig / cutoff)
    offset = torch.arange(-width, width + orig, dtype=torch.float32)[None, None] / orig
    phase = torch.arange(0, -new, -1, dtype=torch.float32)[:, None, None] / new
    return _windowed_sinc((phase + offset) * cutoff, cutoff / orig), width


def resample(wave: Tensor, rate: int, to: int = RATE) -> Tensor:
    """(C, n) at `rate` Hz to (C, ceil(n * to / rate)): torchaudio's default sinc interpolation."""
    if rate == to:
        return wave
    common = math.gcd(rate, to)
    orig, new = rate // common, to // common
    # The reference rounds the length in float32, which is a sample off for very long files.
    length = int(torch.ceil(torch.tensor(new * wave.shape[1] / orig)))
    if orig * new > KERNEL:
        return _resample_directly(wave, orig, new, length)
    kernel, width = _sinc_kernel(orig, new)
    padded = F.pad(wave, (width, width + orig))
    out = F.conv1d(padded[:, None], kernel, stride=orig)  # (C, new, blocks)
    return out.transpose(1, 2).flatten(1)[:, :length]


def _resample_directly(wave: Tensor, orig: int, new: int, length: int) -> Tensor:
    """The same sum where the rates have hardly a common divisor, so that a kernel of all phases
    would fill gigabytes: weights are computed for each output sample, only where they are not 0."""
    cutoff = min(orig, new) * 0.99 / orig  # cycles a sample, twice
    width = math.ceil(CROSSINGS / cutoff)
    taps = torch.arange(-width, width + 2)
    padded = F.pad(wave, (width, 2 * width + 2))
    out = []
    for m in torch.arange(length).split(max(1, (1 << 21) // len(taps))):
        near, phase = m * orig // new, (m * orig % new).double() / new
        t = ((taps - phase[:, None]) * cutoff).float()
        weights = _windowed_sinc(t, cutoff)
        at = (near[:, None] + taps + width).clamp(max=padded.shape[1] - 1)
        out.append(torch.stack([(channel[at] * weights).sum(1) for channel in padded]))
    return torch.cat(out, dim=1)
