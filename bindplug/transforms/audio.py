"""Sound to log-mel clips: decode, resample to 16 kHz, cut clips, Kaldi filter bank, normalise.

The numbers follow ImageBind's released data pipeline, quirks included; each is explained where
it is done.
"""

import logging
import math
import os
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BindplugError, check_choice
from ..imagebind.config import AudioConfig
from ..storage.source import decoding, open_source, reopenable, source_name, to_array
from .clips import CLIP_SECONDS, clip_count, spread
from .media import decode_soundtrack
from .resampling import RATE, resample

log = logging.getLogger("bindplug")

NO_SOUND = "cannot be decoded as audio; give a whole wav, flac, ogg, mp3, m4a or video"
PEAK = 0.9  # of full scale
FRAME, HOP, FFT = 400, 160, 512  # samples: 25 ms, 10 ms, next power of two
MEL_LOW = 20.0  # Hz
MEAN, STD = -4.268, 9.138  # of the log-mel features, as the released model was trained
CLIPS = 3
QUIET = 1e-3  # -60 dB: a first channel so far below the loudest one is taken for silent
FULL_SCALE = 8.0  # beyond it, floating-point samples are no sound in [-1, 1]


def transform_audio(source, config: AudioConfig) -> Tensor:
    """One sound to (3, 1, mel_bins, frames) float32, clips spread evenly over its length.

    Arguments and errors as in `distinct_clips`, which is what embedders use."""
    name = source_name(source, "audio array")
    return log_mel_clips(read_channel(source, "first", name), config, CLIPS, name)


def distinct_clips(
    source,
    config: AudioConfig,
    clips: int | str = "reference",
    normalize: str = "none",
    channel: str = "first",
) -> tuple[Tensor, list[tuple[float, float]]]:
    """`transform_audio` without the copies that a short sound gives, and each clip's seconds.

    Args:
        source: as in `load_audio`.
        clips: "reference" (3), a number, or "all": as many as cover the sound.
        normalize: "none", as the reference, or "peak": scaled so that the loudest sample is 0.9 of
            full scale, where loudness shall not matter.
        channel: "first", as the reference; "loudest", by its mean square; or the "mix" (mean).

    Returns:
        (n, 1, mel_bins, frames) float32 whose mean embedding is that of all clips, and their
        starts and ends.

    Raises BindplugError: as in `load_audio`, shorter than 25 ms, or an unknown option. Silence, and
    a silent first channel, are only warned about, on the logger "bindplug"."""
    check_choice("normalize", normalize, ("none", "peak"))
    name = source_name(source, "audio array")
    wave = read_channel(source, channel, name)
    if normalize == "peak":
        wave = wave * (PEAK / wave.abs().max().clamp(min=1e-5))
    seconds = wave.shape[1] / RATE
    count = clip_count(clips, seconds, CLIPS)
    if seconds <= CLIP_SECONDS:
        count = 1
    x = log_mel_clips(wave, config, count, name)
    bounds = clip_bounds(wave.shape[1], count)
    return x, [(start / RATE, min(end / RATE, seconds)) for start, end in bounds]


def read_channel(source, channel: str, name: str, to: int = RATE) -> Tensor:
    """A sound (`load_audio`) at `to` Hz: (C, n) whose first channel is the one to use.

    "first" leaves all channels, since the reference subtracts the mean of all; it warns where the
    first is silent and another is not. "loudest" and "mix" give (1, n)."""
    check_choice("channel", channel, ("first", "loudest", "mix"))
    wave, rate = load_audio(source)
    if channel == "mix":
        wave = wave.mean(0, keepdim=True)
    elif len(wave) > 1:
        power = wave.square().mean(1)
        loudest = int(power.argmax())
        if channel == "loudest":
            wave = wave[loudest][None]
        elif power[0] < QUIET**2 * power[loudest]:
            log.warning(
                "%s: its first channel, the one that is used, is silent, and channel %d is not; "
                "choose the channel loudest or mix", name, loudest + 1,
            )  # fmt: skip
    return resample(wave, rate, to)


def load_audio(source) -> tuple[Tensor, int]:
    """Decode to ((C, n) float32 in [-1, 1), rate in Hz).

    Args:
        source: a path, pipe or binary file object that libsndfile or, for a video's soundtrack and
            other formats, FFmpeg decodes (of a chained Ogg the first part; where rate or channels
            change on the way, all at the first); (array, tensor or lists, rate in Hz); or
            {"array": array, "sampling_rate": rate}, a row of a Hugging Face data set. Arrays are
            (n,), (C, n) or (n, C): float in [-1, 1]; signed integers of 16, 24 or 32 bits, the
            least that holds all values; or unsigned integers, whose zero is in the middle.

    Raises BindplugError: absent, not audio, empty, or not finite; an array of other values, shape
    or rate."""
    if isinstance(source, dict) and {"array", "sampling_rate"} <= source.keys():
        source = (source["array"], source["sampling_rate"])
    name = source_name(source, "audio array")
    if isinstance(source, tuple) and len(source) == 2:
        data, rate = _array_audio(*source)
    elif isinstance(source, (str, os.PathLike)) or hasattr(source, "read"):
        data, rate = _file_audio(source, name)
    else:
        raise BindplugError(
            f"audio of type {type(source).__name__}; give a path, a file object or (array, Hz)"
        )
    if data.size == 0:
        raise BindplugError(f"{name}: holds no samples; give a sound of at least 25 ms")
    if not np.isfinite(data).all():
        raise BindplugError(f"{name}: holds NaN or infinite samples; export the sound again")
    if not data.any():
        log.warning("%s: is silent; its embedding means little", name)
    return torch.from_numpy(np.ascontiguousarray(data)), rate


def _file_audio(source, name: str) -> tuple[np.ndarray, int]:
    """What libsndfile cannot read, FFmpeg may: m4a, aac, wma, and the sound of videos."""
    import soundfile

    source = reopenable(source, name, "sound file")
    try:
        with open_source(source, name, "sound file") as file, decoding(name, NO_SOUND):
            data, rate = soundfile.read(Seekable(file), dtype="float32", always_2d=True)
        return data.T, rate
    except BindplugError as err:
        if err.__cause__ is None:  # not the decoder's
            raise
        try:
            return decode_soundtrack(source, name)
        except BindplugError as second:
            raise second if str(second).endswith("has no sound") else err from None


class Seekable:
    """A file whose impossible seeks, as libsndfile tries them in damaged sounds, do nothing:
    soundfile would print a traceback for each."""

    def __init__(self, file):
        self.read, self.readinto, self.tell = file.read, file.readinto, file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError):
            return self.tell()


def _array_audio(array, rate) -> tuple[np.ndarray, int]:
    data = to_array(array, "audio array")
    if data.dtype.kind not in "iuf":
        raise BindplugError(f"audio array of {data.dtype}; give numbers")
    if data.ndim not in (1, 2):
        raise BindplugError(f"audio array of shape {data.shape}; give (n,) or (C, n)")
    with decoding("audio array", f"rate {rate!r}; give a positive whole number of Hz"):
        hertz = int(rate)
        if isinstance(rate, bool) or hertz != float(rate) or hertz <= 0:
            raise ValueError
    data = np.atleast_2d(data)
    if data.shape[0] > data.shape[1]:  # (n, C), as soundfile reads
        data = data.T
    return _full_scale(data).astype(np.float32), hertz


def _full_scale(data: np.ndarray) -> np.ndarray:
    """Samples of any kind of number, as in `load_audio`, to floating point in [-1, 1)."""
    if data.dtype.kind == "f":
        peak = np.abs(data).max(initial=0)
        if FULL_SCALE < peak < np.inf:
            raise BindplugError(
                f"audio array of {data.dtype} with values up to {peak:g}; divide by its full scale "
                "(32768 for 16 bits) so that it lies in [-1, 1]"
            )
        return data
    bits = data.dtype.itemsize * 8
    if data.dtype.kind == "u":
        return data / 2.0 ** (bits - 1) - 1
    if bits > 16:
        most = max(int(data.max(initial=0)), -int(data.min(initial=0)) - 1)
        bits = next(b for b in (16, 24, 32, 64) if most < 2 ** (b - 1))
    return data / 2.0 ** (bits - 1)


def clip_bounds(samples: int, clips: int) -> list[tuple[int, int]]:
    """Sample ranges at 16 kHz of clips of 2 s, the first at the start, the last at the end.

    Starts are cut, not rounded, to samples; a sound under 2 s gives equal clips from 0."""
    starts = spread(samples / RATE - CLIP_SECONDS, clips)
    return [(int(s * RATE), int((s + CLIP_SECONDS) * RATE)) for s in starts]


def log_mel_clips(wave: Tensor, config: AudioConfig, clips: int, name: str) -> Tensor:
    """(C, n) at 16 kHz to normalised log-mel (clips, 1, mel_bins, frames) float32."""
    if wave.shape[1] < FRAME:
        raise BindplugError(
            f"{name}: {wave.shape[1]} samples at 16 kHz are less than one frame; "
            "give a sound of at least 25 ms"
        )
    wave = wave.clone()
    out = []
    for start, end in clip_bounds(wave.shape[1], clips):
        clip = wave[:, start:end]
        # The mean over all channels leaves the whole sound in place, so overlapping clips see a
        # step where an earlier clip was; only the first channel is then used. Both as released.
        clip -= clip.mean()
        mel = fbank(clip[0], config.mel_bins).T[:, : config.frames]
        mel = F.pad(mel, (0, config.frames - mel.shape[1]))  # zeros before normalising
        out.append((mel - MEAN) / STD)
    return torch.stack(out)[:, None]


@lru_cache(maxsize=4)
def mel_banks(bins: int) -> Tensor:
    """Kaldi's triangles, (bins, 257), from 20 Hz to 8 kHz; the Nyquist column is zero."""

    low, high = (1127.0 * math.log(1 + hz / 700) for hz in (MEL_LOW, RATE / 2))
    step = (high - low) / (bins + 1)
    # float32 in Kaldi's order of operations, because silent bins show every rounding; the
    # logarithm is rounded once, from float64, so that it is the same on every processor.
    row = torch.arange(bins)[:, None]
    left, centre, right = low + row * step, low + (row + 1.0) * step, low + (row + 2.0) * step
    points = 1.0 + RATE / FFT * torch.arange(FFT // 2) / 700.0
    points = 1127.0 * points.double().log().float()
    up, down = (points - left) / (centre - left), (right - points) / (right - centre)
    return F.pad(torch.minimum(up, down).clamp(min=0), (0, 1))


def fbank(wave: Tensor, bins: int) -> Tensor:
    """(n,) at 16 kHz to natural-log mel energies (frames, bins), as Kaldi's fbank.

    25 ms frames each 10 ms, whole frames only, mean removed, pre-emphasis 0.97, symmetric Hann
    window (the paper says Hamming, the released code uses Hann), power spectrum, no dither."""
    frames = wave.unfold(0, FRAME, HOP)
    frames = frames - frames.mean(dim=1, keepdim=True)
    previous = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    frames = (frames - 0.97 * previous) * torch.hann_window(FRAME, periodic=False)
    power = torch.fft.rfft(F.pad(frames, (0, FFT - FRAME))).abs() ** 2
    energy = power @ mel_banks(bins).T
    return energy.clamp(min=torch.finfo(torch.float32).eps).log()
