"""Sound to log-mel clips: decode, resample to 16 kHz, cut clips, Kaldi filter bank, normalise.

The numbers follow ImageBind's released data pipeline, quirks included; each is explained where
it is done.
"""

from __future__ import annotations

import logging
import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BindplugError
from ..imagebind.config import AudioConfig
from ..storage.source import check_file, source_name

log = logging.getLogger("bindplug")

RATE = 16_000  # Hz
PEAK = 0.9  # of full scale
CLIP_SECONDS = 2
FRAME, HOP, FFT = 400, 160, 512  # samples: 25 ms, 10 ms, next power of two
MEL_LOW = 20.0  # Hz
MEAN, STD = -4.268, 9.138  # of the log-mel features, as the released model was trained


CLIPS = 3


def transform_audio(source, config: AudioConfig, clips: int = CLIPS) -> Tensor:
    """One sound to (clips, 1, mel_bins, frames) float32, clips spread evenly over its length.

    Args:
        source: a path or binary file object that soundfile or, for a video's soundtrack and other
            formats, PyAV decodes, or (array or tensor, rate in Hz) with the array (n,), (C, n) or
            (n, C), float in [-1, 1] or integer.

    Raises:
        BindplugError: absent, not audio, empty, not finite, or shorter than 25 ms. Silence is
            only warned about, on the logger "bindplug".
    """
    wave, rate = load_audio(source)
    return log_mel_clips(
        resample(wave, rate), config, clips, name=source_name(source, "audio array")
    )


def distinct_clips(
    source, config: AudioConfig, clips: int | str = "reference", level: str = "own"
) -> tuple[Tensor, list[tuple[float, float]]]:
    """`transform_audio` without the copies that a short sound gives, and each clip's seconds.

    Args:
        clips: "reference" (3), a number, or "all": as many as cover the sound.
        level: "own", or "peak": scaled so that its loudest sample is 0.9 of full scale, where
            loudness shall not matter. The reference leaves it alone.

    Returns:
        (n, 1, mel_bins, frames) float32 whose mean embedding is that of all clips, and their
        starts and ends.
    """
    from .video import clip_count

    if level not in ("own", "peak"):
        raise BindplugError(f"level {level!r}; choose own or peak")
    wave, rate = load_audio(source)
    wave = resample(wave, rate)
    if level == "peak":
        wave = wave * (PEAK / wave.abs().max().clamp(min=1e-5))
    seconds = wave.shape[1] / RATE
    count = clip_count(clips, seconds, CLIPS)
    if seconds <= CLIP_SECONDS:
        count = 1
    x = log_mel_clips(wave, config, count, name=source_name(source, "audio array"))
    bounds = clip_bounds(wave.shape[1], count)
    return x, [(start / RATE, min(end / RATE, seconds)) for start, end in bounds]


def load_audio(source) -> tuple[Tensor, int]:
    """Decode to ((C, n) float32 in [-1, 1), rate in Hz)."""
    name = source_name(source, "audio array")
    if isinstance(source, tuple):
        data, rate = _array_audio(*source)
    else:
        data, rate = _file_audio(source, name)
    if data.size == 0:
        raise BindplugError(f"{name}: holds no samples; give a sound of at least 25 ms")
    if not np.isfinite(data).all():
        raise BindplugError(f"{name}: holds NaN or infinite samples; export the sound again")
    if not data.any():
        log.warning("%s: is silent; its embedding means little", name)
    return torch.from_numpy(np.ascontiguousarray(data)), rate


def _file_audio(source, name: str) -> tuple[np.ndarray, int]:
    import soundfile

    check_file(source, name, "sound file")
    try:
        data, rate = soundfile.read(source, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, TypeError, OSError) as err:
        return _soundtrack(source, name, err)
    return data.T, rate


def _soundtrack(source, name: str, err: Exception) -> tuple[np.ndarray, int]:
    """What libsndfile cannot read, FFmpeg may: m4a, aac, wma, and the sound of videos."""
    from .media import decode_soundtrack

    try:
        return decode_soundtrack(source)
    except BindplugError as second:
        if str(second).endswith("has no sound"):
            raise
        raise BindplugError(
            f"{name}: cannot be decoded as audio; give a whole wav, flac, ogg, mp3, m4a or video"
        ) from err


def _array_audio(array, rate) -> tuple[np.ndarray, int]:
    data = np.asarray(array)
    if data.dtype.kind not in "iuf":
        raise BindplugError(f"audio array of {data.dtype}; give numbers")
    if data.ndim not in (1, 2):
        raise BindplugError(f"audio array of shape {data.shape}; give (n,) or (C, n)")
    if not (isinstance(rate, (int, np.integer)) and rate > 0):
        raise BindplugError(f"audio array with rate {rate!r}; give a positive number of Hz")
    data = np.atleast_2d(data)
    if data.shape[0] > data.shape[1]:  # (n, C), as soundfile reads
        data = data.T
    if np.issubdtype(data.dtype, np.integer):
        data = data / float(-np.iinfo(data.dtype).min or np.iinfo(data.dtype).max)
    return data.astype(np.float32), int(rate)


@lru_cache(maxsize=16)
def _sinc_kernel(orig: int, new: int) -> tuple[Tensor, int]:
    """Hann-windowed sinc of 6 zero crossings, roll-off 0.99, one row a phase, in float32."""
    crossings = 6
    cutoff = min(orig, new) * 0.99
    width = math.ceil(crossings * orig / cutoff)
    offset = torch.arange(-width, width + orig, dtype=torch.float32)[None, None] / orig
    phase = torch.arange(0, -new, -1, dtype=torch.float32)[:, None, None] / new
    t = ((phase + offset) * cutoff).clamp(-crossings, crossings)
    window = torch.cos(t * math.pi / crossings / 2) ** 2
    t = t * math.pi
    sinc = torch.where(t == 0, torch.ones_like(t), t.sin() / t)
    return sinc * (window * (cutoff / orig)), width


def resample(wave: Tensor, rate: int, to: int = RATE) -> Tensor:
    """(C, n) at `rate` Hz to (C, ceil(n * to / rate)): torchaudio's default sinc interpolation."""
    if rate == to:
        return wave
    common = math.gcd(rate, to)
    orig, new = rate // common, to // common
    kernel, width = _sinc_kernel(orig, new)
    padded = F.pad(wave, (width, width + orig))
    out = F.conv1d(padded[:, None], kernel, stride=orig)  # (C, new, blocks)
    out = out.transpose(1, 2).flatten(1)
    # The reference rounds the length in float32, which is a sample off for very long files.
    return out[:, : int(torch.ceil(torch.tensor(new * wave.shape[1] / orig)))]


def clip_bounds(samples: int, clips: int, rate: int = RATE) -> list[tuple[int, int]]:
    """Sample ranges of `clips` clips of 2 s, the first at the start, the last at the end.

    Starts are exact rationals of a float duration, cut (not rounded) to samples, as the
    reference's sampler has them; a sound under 2 s gives equal clips from 0.
    """
    room = Fraction(max(samples / rate - CLIP_SECONDS, 0))
    starts = [room * k / (clips - 1) if clips > 1 else Fraction(0) for k in range(clips)]
    return [(int(s * rate), int((s + CLIP_SECONDS) * rate)) for s in starts]


def log_mel_clips(wave: Tensor, config: AudioConfig, clips: int = 3, name="audio") -> Tensor:
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
    window (the paper says Hamming, the released code uses Hann), power spectrum, no dither.
    """
    frames = wave.unfold(0, FRAME, HOP)
    frames = frames - frames.mean(dim=1, keepdim=True)
    previous = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    frames = (frames - 0.97 * previous) * torch.hann_window(FRAME, periodic=False)
    power = torch.fft.rfft(F.pad(frames, (0, FFT - FRAME))).abs() ** 2
    energy = power @ mel_banks(bins).T
    return energy.clamp(min=torch.finfo(torch.float32).eps).log()
