"""Sound to log-mel clips: decode, resample to 16 kHz, cut clips, Kaldi filter bank, normalise.

The numbers follow ImageBind's released data pipeline, quirks included; each is explained where
it is done.
"""

from __future__ import annotations

import logging
import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import BindplugError, check_choice
from ..imagebind.config import AudioConfig
from ..storage.source import source_name
from .clips import CLIP_SECONDS, clip_count, spread
from .resampling import RATE, resample_array
from .sound_file import read_sound

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("bindplug")

PEAK = 0.9  # of full scale
FRAME, HOP, FFT = 400, 160, 512  # samples: 25 ms, 10 ms, next power of two
MEL_LOW = 20.0  # Hz
MEAN, STD = -4.268, 9.138  # of the log-mel features, as the released model was trained
CLIPS = 3
QUIET = 1e-3  # -60 dB: a first channel so far below the loudest one is taken for silent


def transform_audio(source, config: AudioConfig) -> Tensor:
    """One sound to (3, 1, mel_bins, frames) float32, clips spread evenly over its length.

    Arguments and errors as in `distinct_clips`, which is what embedders use."""
    import torch

    name = source_name(source, "audio array")
    wave = read_channel(source, "first", name)
    return torch.from_numpy(log_mel_clips(wave, config, CLIPS, name))


def distinct_clips(
    source,
    config: AudioConfig,
    clips: int | str = "reference",
    normalize: str = "none",
    channel: str = "first",
) -> tuple[Tensor, list[tuple[float, float]]]:
    """`clip_arrays` as a tensor, and the clips' seconds."""
    import torch

    x, seconds = clip_arrays(source, config, clips, normalize, channel)
    return torch.from_numpy(x), seconds


def clip_arrays(
    source,
    config: AudioConfig,
    clips: int | str = "reference",
    normalize: str = "none",
    channel: str = "first",
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """`transform_audio` without the copies that a short sound gives, and each clip's seconds.

    Args:
        source: as in `read_sound`.
        clips: "reference" (3), a number, or "all": as many as cover the sound.
        normalize: "none", as the reference, or "peak": scaled so that the loudest sample is 0.9 of
            full scale, where loudness shall not matter.
        channel: "first", as the reference; "loudest", by its mean square; or the "mix" (mean).

    Returns:
        (n, 1, mel_bins, frames) float32 whose mean embedding is that of all clips, and their
        starts and ends.

    Raises BindplugError: as in `read_sound`, shorter than 25 ms, or an unknown option. Silence, and
    a silent first channel, are only warned about, on the logger "bindplug"."""
    check_choice("normalize", normalize, ("none", "peak"))
    name = source_name(source, "audio array")
    wave = read_channel(source, channel, name)
    if normalize == "peak":
        wave = at_peak(wave)
    seconds = wave.shape[1] / RATE
    count = clip_count(clips, seconds, CLIPS)
    if seconds <= CLIP_SECONDS:
        count = 1
    x = log_mel_clips(wave, config, count, name)
    bounds = clip_bounds(wave.shape[1], count)
    return x, [(start / RATE, min(end / RATE, seconds)) for start, end in bounds]


def at_peak(wave: np.ndarray) -> np.ndarray:
    """Samples scaled so that the loudest is 0.9 of full scale; silence stays silent."""
    return wave * (np.float32(PEAK) / np.abs(wave).max().clip(min=np.float32(1e-5)))


def load_audio(source) -> tuple[Tensor, int]:
    """`read_sound` as a tensor: (C, n) float32 in [-1, 1), and the rate in Hz."""
    import torch

    wave, rate = read_sound(source)
    return torch.from_numpy(wave), rate


def read_channel(source, channel: str, name: str, to: int = RATE) -> np.ndarray:
    """A sound (`read_sound`) at `to` Hz: (C, n) whose first channel is the one to use.

    "first" leaves all channels, since the reference subtracts the mean of all; it warns where the
    first is silent and another is not. "loudest" and "mix" give (1, n); "mix" warns where channels
    are each other's opposite."""
    check_choice("channel", channel, ("first", "loudest", "mix"))
    wave, rate = read_sound(source)
    if channel == "mix":
        mixed = wave.mean(0, keepdims=True)
        if np.square(mixed).mean() < QUIET**2 * np.square(wave).mean():
            log.warning(
                "%s: its channels cancel out when they are mixed; choose the channel loudest", name
            )
        wave = mixed
    elif len(wave) > 1:
        power = np.square(wave).mean(1)
        loudest = int(power.argmax())
        if channel == "loudest":
            wave = wave[loudest][None]
        elif power[0] < QUIET**2 * power[loudest]:
            log.warning(
                "%s: its first channel, the one that is used, is silent, but channel %d is not; "
                "choose the channel loudest or mix", name, loudest + 1,
            )  # fmt: skip
    return resample_array(wave, rate, to)


def clip_bounds(samples: int, clips: int) -> list[tuple[int, int]]:
    """Sample ranges at 16 kHz of clips of 2 s, the first at the start, the last at the end.

    Starts are cut, not rounded, to samples; a sound under 2 s gives equal clips from 0."""
    starts = spread(samples / RATE - CLIP_SECONDS, clips)
    return [(int(s * RATE), int((s + CLIP_SECONDS) * RATE)) for s in starts]


def log_mel_clips(wave: np.ndarray, config: AudioConfig, clips: int, name: str) -> np.ndarray:
    """(C, n) at 16 kHz to normalised log-mel (clips, 1, mel_bins, frames) float32."""
    if wave.shape[1] < FRAME:
        raise BindplugError(
            f"{name}: {wave.shape[1]} samples at 16 kHz are less than one frame; "
            "give a sound of at least 25 ms"
        )
    wave = wave.copy()
    out = []
    for start, end in clip_bounds(wave.shape[1], clips):
        clip = wave[:, start:end]
        # The mean over all channels leaves the whole sound in place, so overlapping clips see a
        # step where an earlier clip was; only the first channel is then used. Both as released.
        clip -= clip.mean()
        mel = fbank(clip[0], config.mel_bins).T[:, : config.frames]
        short = config.frames - mel.shape[1]
        mel = np.pad(mel, ((0, 0), (0, short)))  # zeros before normalising
        out.append((mel - np.float32(MEAN)) / np.float32(STD))
    return np.stack(out)[:, None]


@lru_cache(maxsize=4)
def mel_banks(bins: int) -> np.ndarray:
    """Kaldi's triangles, (bins, 257), from 20 Hz to 8 kHz; the Nyquist column is zero."""
    low, high = (1127.0 * math.log(1 + hz / 700) for hz in (MEL_LOW, RATE / 2))
    step = (high - low) / (bins + 1)
    # float32 in Kaldi's order of operations, because silent bins show every rounding; the
    # logarithm is rounded once, from float64, so that it is the same on every processor.
    row = np.arange(bins, dtype=np.float32)[:, None]
    left, centre, right = low + row * step, low + (row + 1.0) * step, low + (row + 2.0) * step
    points = 1.0 + RATE / FFT * np.arange(FFT // 2, dtype=np.float32) / 700.0
    points = 1127.0 * np.log(points.astype(np.float64)).astype(np.float32)
    up, down = (points - left) / (centre - left), (right - points) / (right - centre)
    return np.pad(np.minimum(up, down).clip(min=0), ((0, 0), (0, 1)))


def fbank(wave: np.ndarray, bins: int) -> np.ndarray:
    """(n,) at 16 kHz to natural-log mel energies (frames, bins), as Kaldi's fbank.

    25 ms frames each 10 ms, whole frames only, mean removed, pre-emphasis 0.97, symmetric Hann
    window (the paper says Hamming, the released code uses Hann), power spectrum, no dither."""
    frames = sliding_window_view(wave, FRAME)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames = (frames - np.float32(0.97) * previous) * np.hanning(FRAME).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, FFT)).astype(np.float32) ** 2  # NumPy 1 gives float64
    energy = power @ mel_banks(bins).T
    return np.log(energy.clip(min=np.finfo(np.float32).eps))
