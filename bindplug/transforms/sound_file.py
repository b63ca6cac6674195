"""Sound files and arrays to samples."""

from __future__ import annotations

import logging
import os

import numpy as np

from ..errors import BindplugError
from ..storage.source import decoding, open_source, reopenable, source_name, to_array
from .media import decode_soundtrack

log = logging.getLogger("bindplug")

NO_SOUND = "cannot be decoded as audio; give a whole wav, flac, ogg, mp3, m4a or video"
RATES = (100, 10_000_000)  # Hz, lowest and highest
UNKNOWN_SIZE = 0x7FFF0000  # bytes of samples; a pipe's WAV has this or more in its header
FULL_SCALE = 8.0  # beyond it, floating-point samples are no sound in [-1, 1]


def read_sound(source) -> tuple[np.ndarray, int]:
    """Decode to ((C, n) float32 in [-1, 1), rate in Hz).

    Args:
        source: a path, pipe or binary file object that libsndfile or, for a video's soundtrack and
            other formats, FFmpeg decodes (of a chained Ogg the first part; where rate or channels
            change on the way, all at the first); (array, tensor or lists, rate in Hz); or
            {"array": array, "sampling_rate": rate}, a row of a Hugging Face data set. Arrays are
            (n,), (C, n) or (n, C): float in [-1, 1]; signed integers of 16, 24 or 32 bits, the
            least that holds all values; or unsigned integers, whose zero is in the middle.

    Raises BindplugError: absent, not audio, empty, or not finite; a rate that no sound has; an
    array of other values, shape or rate."""
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
    low, high = RATES
    if not low <= rate <= high:
        raise BindplugError(
            f"{name}: has a rate of {rate} Hz; a sound has {low} Hz to {high / 1e6:g} MHz, so its "
            "header is damaged; export it again"
        )
    if data.size == 0:
        raise BindplugError(f"{name}: holds no samples; give a sound of at least 25 ms")
    if not np.isfinite(data).all():
        raise BindplugError(f"{name}: holds NaN or infinite samples; export the sound again")
    if not data.any():
        log.warning("%s: is silent; its embedding means little", name)
    return np.ascontiguousarray(data), rate


def _file_audio(source, name: str) -> tuple[np.ndarray, int]:
    """What libsndfile cannot read, FFmpeg may: m4a, aac, wma, and the sound of videos."""
    import soundfile

    source = reopenable(source, name, "sound file")
    try:
        with open_source(source, name, "sound file") as file, decoding(name, NO_SOUND):
            _warn_if_cut(file, name)
            data, rate = soundfile.read(Seekable(file), dtype="float32", always_2d=True)
        return data.T, rate
    except BindplugError as err:
        if err.__cause__ is None:  # not the decoder's
            raise
        try:
            return decode_soundtrack(source, name)
        except BindplugError as second:
            raise second if str(second).endswith("has no sound") else err from None


def _warn_if_cut(file, name: str) -> None:
    """Of a WAV that is shorter than its header says; libsndfile reads what is there. What was
    written to a pipe does not know its length."""
    chunk = file.read(12)
    if chunk[:4] == b"RIFF" and chunk[8:] == b"WAVE":
        while len(chunk := file.read(8)) == 8 and chunk[:4] != b"data":
            size = int.from_bytes(chunk[4:], "little")
            file.seek(size + size % 2, os.SEEK_CUR)
        size, start = int.from_bytes(chunk[4:], "little"), file.tell()
        there = file.seek(0, os.SEEK_END) - start
        if chunk[:4] == b"data" and size < UNKNOWN_SIZE and there < 0.99 * size:
            what = "%s: is cut short: %d of %d bytes of its samples are there"
            log.warning(what, name, there, size)
    file.seek(0)


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
