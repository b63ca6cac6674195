"""Augmentations of sounds before their transform: (C, T) float32 waves."""

from __future__ import annotations

import numpy as np

POINTS = 8  # of an equaliser's curve, at equal distances on the logarithmic scale
LOWEST = 50.0  # Hz, where the curve begins


def window(
    wave: np.ndarray, rate: int, seconds: float, draws: int, speed: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """A random part of a sound, or all of a shorter one, and its new rate.

    Args:
        rate: Hz.
        seconds: of the part, as it is heard.
        draws: of which the loudest part is taken. Parts without any sound are left for the one
            that begins where the sound does.
        speed: 0.25 plays up to a quarter faster, or slower by as much; pitch goes with it.
    """
    if speed:
        rate = round(rate * (1 + speed) ** rng.uniform(-1, 1))
    size = round(seconds * rate)
    spare = max(wave.shape[1] - size + 1, 1)
    parts = [wave[:, start : start + size] for start in (rng.random(draws) * spare).astype(int)]
    part = max(parts, key=lambda part: float(np.square(part).sum()))
    if not part.any() and wave.any():  # it would teach that silence is this sound
        start = min(int(wave.any(axis=0).argmax()), wave.shape[1] - size)
        part = wave[:, start : start + size]
    return part, rate


def equalize(wave: np.ndarray, rate: int, most: float, rng: np.random.Generator) -> np.ndarray:
    """The wave with a smooth random curve of gains between -`most` and `most` dB."""
    points = np.geomspace(LOWEST, rate / 2, POINTS)
    frequencies = np.fft.rfftfreq(wave.shape[1], 1 / rate).clip(min=LOWEST)
    gains = np.interp(np.log(frequencies), np.log(points), rng.uniform(-most, most, POINTS))
    return _filtered(wave, 10 ** (gains / 20))


def add_noise(wave: np.ndarray, least: float, rng: np.random.Generator) -> np.ndarray:
    """The wave, half of the times under noise between white and red, `least` to `least` + 40 dB
    below it in mean power."""
    is_chosen, color, snr = rng.random() < 0.5, rng.random(), least + 40 * rng.random()
    if not is_chosen:
        return wave
    noise = rng.standard_normal(wave.shape, dtype=np.float32)
    noise = _filtered(noise, np.arange(1, wave.shape[1] // 2 + 2) ** -color)
    share = np.square(wave).mean() / max(float(np.square(noise).mean()), 1e-20)
    return wave + noise * np.float32((share / 10 ** (snr / 10)) ** 0.5)


def low_pass(wave: np.ndarray, rate: int, least: float, rng: np.random.Generator) -> np.ndarray:
    """The wave, a third of the times without what lies above a frequency between `least` Hz and
    four times that, as of a recording of a lower rate."""
    is_chosen, cut = rng.random() < 1 / 3, least * 4 ** rng.random()
    if not is_chosen:
        return wave
    above = np.fft.rfftfreq(wave.shape[1], 1 / rate) / cut - 1  # falls within a tenth of it
    return _filtered(wave, (1 - 10 * above).clip(0, 1))


def _filtered(wave: np.ndarray, gains: np.ndarray) -> np.ndarray:
    return np.fft.irfft(np.fft.rfft(wave) * gains, wave.shape[1]).astype(np.float32)
