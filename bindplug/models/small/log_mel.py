"""Sounds to log-mel blocks, in NumPy.

The transform is that of Ma and Lerch, Representation Learning for the Automatic Indexing of Sound
Effects Libraries, ISMIR 2022.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...errors import BindplugError, check_choice
from ...storage.source import source_name
from ...transforms.audio import at_peak, read_channel

RATE = 44_100  # Hz
FFT, HOP, BANDS = 2048, 1024, 96
FRAMES, STEP = 100, 50  # of a block: 2.3 s, one each 1.16 s
NORM = 9.457798957824707  # largest logarithm of the spectrograms that the trunk was trained on
SHORTEST = 0.025  # seconds
QUIET = 0.1  # of the sound's peak: quieter blocks are left out
AT_ONCE = 1024  # windows whose spectra are held at a time


def sound_blocks(
    source, clips: int | str = "all", normalize: str = "peak", channel: str = "mix"
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """One sound to (n, 100, 96) float32 log-mel blocks, and the (start, end) seconds of each.

    Args:
        source: as in `bindplug.transforms.sound_file.read_sound`.
        clips: "all": a block each 1.16 s, without those whose loudest sample is 20 dB or more below
            the sound's; or a number of blocks, evenly spread, fewer where there is no room for so
            many different ones.
        normalize: "peak": scaled so that the loudest sample is 0.9 of full scale; or "none".
        channel: "mix" (mean), "first", or "loudest" by its mean square.

    Raises:
        BindplugError: as in `read_sound`; shorter than 25 ms; an unknown option.
    """
    check_choice("normalize", normalize, ("none", "peak"))
    name = source_name(source, "audio array")
    wave = read_channel(source, channel, name, RATE)[0]
    if len(wave) < SHORTEST * RATE:
        raise BindplugError(f"{name}: is shorter than 25 ms; give a longer sound")
    if normalize == "peak":
        wave = at_peak(wave)
    blocks, starts = cut_blocks(log_mel(wave), clips)
    if clips == "all":
        loud = [float(np.abs(wave[s * HOP : (s + FRAMES) * HOP]).max()) for s in starts]
        kept = [i for i, peak in enumerate(loud) if peak >= QUIET * max(loud)]
        blocks, starts = blocks[kept], [starts[i] for i in kept]
    seconds = len(wave) / RATE
    bounds = [(s * HOP / RATE, min((s + FRAMES) * HOP / RATE, seconds)) for s in starts]
    return blocks, bounds


def cut_blocks(mel: np.ndarray, clips: int | str = "all") -> tuple[np.ndarray, list[int]]:
    """(T, 96) to (n, 100, 96) blocks, zeros after the end, and the first frame of each.

    Raises BindplugError: `clips` is neither "all" nor a positive number."""
    spare = max(len(mel) - FRAMES, 0)
    if clips == "all":
        starts = [STEP * i for i in range(math.ceil(spare / STEP) + 1)]
    elif isinstance(clips, int) and not isinstance(clips, bool) and clips > 0:
        starts = sorted({round(spare * i / max(clips - 1, 1)) for i in range(clips)})
    else:
        raise BindplugError(f"clips {clips!r}; give all or a number from 1")
    mel = np.pad(mel, ((0, max(0, starts[-1] + FRAMES - len(mel))), (0, 0)))
    return np.stack([mel[s : s + FRAMES] for s in starts]), starts


def band_edges() -> np.ndarray:
    """(98,) float64 Hz, equally spaced on the HTK mel scale: band i has its lower end, centre and
    upper end at i, i + 1 and i + 2."""
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    return 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)


@lru_cache(maxsize=1)
def mel_banks() -> np.ndarray:
    """(1025, 96) triangles on the HTK mel scale from 0 to 22,050 Hz, each summing to 1."""
    edges = band_edges()
    hertz = np.linspace(0, RATE / 2, FFT // 2 + 1)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    up, down = (hertz - left) / (centre - left), (right - hertz) / (right - centre)
    banks = np.minimum(up, down).clip(min=0)
    return (banks / banks.sum(0)).astype(np.float32)


def mel_power(wave: np.ndarray) -> np.ndarray:
    """(n,) at 44.1 kHz to (T, 96): the power spectrum of Hann windows each 1024 samples, zeros
    around the sound, in mel bands."""
    wave = np.pad(wave, (FFT // 2, FFT // 2 + max(0, FFT - len(wave))))
    frames, window = sliding_window_view(wave, FFT)[::HOP], np.hanning(FFT + 1)[:-1]
    window, out = window.astype(np.float32), []
    for start in range(0, len(frames), AT_ONCE):
        spectrum = np.fft.rfft(frames[start : start + AT_ONCE] * window)
        out.append(np.square(np.abs(spectrum).astype(np.float32)) @ mel_banks())
    return np.concatenate(out)


def compress(power: np.ndarray) -> np.ndarray:
    """Mel power to the numbers that the trunk takes: log10(1 + 10,000 x) / 9.4578."""
    return np.log10(1 + 10_000 * power) / np.float32(NORM)


def log_mel(wave: np.ndarray) -> np.ndarray:
    """(n,) at 44.1 kHz to (T, 96) float32, 0 for silence and about 1 for the loudest."""
    return compress(mel_power(wave))
