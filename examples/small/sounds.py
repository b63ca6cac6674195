"""Sounds for training: mel power spectrograms at several speeds, cut and damaged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from data import RUNS, sounds
from torch import Tensor

from bindplug.models.small.log_mel import (
    BANDS,
    FRAMES,
    RATE,
    band_edges,
    compress,
    mel_power,
)  # fmt: skip
from bindplug.training import Groups, cached
from bindplug.transforms.audio import at_peak
from bindplug.transforms.resampling import resample_array
from bindplug.transforms.sound_file import read_sound

SPEEDS = (1.0, 0.75, 0.82, 0.9, 1.1, 1.2, 1.33)
SHORT = 50  # frames: a shorter sound may be repeated


@dataclass(frozen=True)
class Damage:
    """How much clips are changed. Powers are in powers of ten."""

    mixed: float  # chance of another sound below it
    level: float  # least power
    tilt: float  # deviation over the bands
    ripple: float  # deviation at six points between the bands
    noisy: float  # chance of noise
    noise: tuple[float, float]  # its power below the loudest
    low_passed: float  # chance
    masked: float  # chance of each of four holes


# A trunk from nothing needs STRONG: trained on one table, it names 24 % of the other's recordings
# right, with MILD 18 %. A pretrained one is better off with MILD (the model card).
STRONG = Damage(0.3, -1.2, 0.35, 0.2, 0.5, (-4.5, -1.2), 0.35, 0.5)
MILD = Damage(0.1, -0.6, 0.15, 0.1, 0.2, (-5.0, -2.5), 0.1, 0.25)


def powers() -> list[list[Tensor]]:
    """Of each sound of `data.sounds`, at each speed, (T, 96) float16 mel power."""
    rows = sounds()

    def make() -> dict[str, Tensor]:
        out = {}
        for i, row in enumerate(rows):
            wave, rate = read_sound(row["path"])
            wave = at_peak(wave.mean(0, keepdims=True))
            for j, speed in enumerate(SPEEDS):
                power = mel_power(resample_array(wave, round(rate * speed), RATE)[0])
                out[f"{i}.{j}"] = torch.from_numpy(power).clamp(max=6e4).half()
        return out

    found = cached(RUNS / "powers.safetensors", f"{SPEEDS} {len(rows)}", make)
    return [[found[f"{i}.{j}"] for j in range(len(SPEEDS))] for i in range(len(rows))]


class Clips:
    """Batches of one damaged clip for each concept that has sounds.

    Args:
        chosen: which rows of `data.sounds` may be used.

    Attributes:
        labels: (B,) the concepts of a batch.
    """

    def __init__(self, names: list[str], chosen: list[bool]):
        self.powers = powers()
        rows = sounds()
        takes: dict[tuple[str, str], list[int]] = {}
        for i, (row, use) in enumerate(zip(rows, chosen, strict=True)):
            if use:
                takes.setdefault((row["concept"], row["group"]), []).append(i)
        recordings = list(takes)
        # First a recording, then one of its takes, so that many takes of one weigh as one.
        self.recordings = Groups(
            [[i for i, (name, _) in enumerate(recordings) if name == n] for n in names]
        )
        self.takes = Groups(list(takes.values()))
        self.labels = torch.nonzero(self.recordings.sizes)[:, 0]
        self.centres = torch.from_numpy(band_edges()[1:-1]).float()

    def _cut(self, sound: int, r: list[float]) -> Tensor:
        """(100, 96) power of a random 2.3 s at a random speed."""
        power = self.powers[sound][int(r[1] * len(SPEEDS)) if r[0] < 0.7 else 0].float()
        spare = len(power) - FRAMES
        if spare > 0:
            starts = [int(x * (spare + 1)) for x in r[2:6]]
            loudest = max(starts, key=lambda s: power[s : s + FRAMES : 4].sum())
            start = loudest if r[6] < 0.8 else starts[0]
            return power[start : start + FRAMES]
        if len(power) < SHORT and r[6] < 0.5:
            gap = power.new_zeros(3 + int(32 * r[7]), BANDS)
            cycle = torch.cat([power, gap])
            return cycle.repeat(-(-FRAMES // len(cycle)), 1)[:FRAMES]
        before = int(r[7] * (-spare // 2 + 1)) if r[6] < 0.75 else 0
        return F.pad(power, (0, 0, before, -spare - before))

    def _batch(self, g: torch.Generator) -> Tensor:
        chosen = self.takes.draw(self.recordings.draw(self.labels, g), g).tolist()
        draws = torch.rand(len(chosen), 8, generator=g).tolist()
        return torch.stack([self._cut(i, r) for i, r in zip(chosen, draws, strict=True)])

    def draw(self, g: torch.Generator, damage: Damage) -> Tensor:
        """(B, 100, 96) log-mel clips: mixed, equalised, with noise, low-passed and masked."""
        power = self._batch(g)
        count = len(power)

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(count, 1, 1, generator=g)

        def chance(p: float) -> Tensor:
            return torch.rand(count, 1, 1, generator=g) < p

        under = self._batch(g)[torch.randperm(count, generator=g)]
        power = power + chance(damage.mixed) * under * 10 ** uniform(-2.2, -0.8)
        line = torch.linspace(-1, 1, BANDS)
        ripple = damage.ripple * torch.randn(count, 1, 6, generator=g)
        ripple = F.interpolate(ripple, size=BANDS, mode="linear", align_corners=True)
        tilt = damage.tilt * torch.randn(count, 1, 1, generator=g) * line
        power = power * 10 ** (uniform(damage.level, 0.1) + tilt + ripple)
        loud = power.amax(dim=(1, 2), keepdim=True)
        noise = chance(damage.noisy) * loud * 10 ** (uniform(*damage.noise) + uniform(-1, 1) * line)
        # The power of noise in a mel bin falls off exponentially from frame to frame.
        power = power - noise * torch.rand(power.shape, generator=g).clamp(min=1e-6).log()
        fall = ((self.centres - uniform(3000, 11000)) / 1000).clamp(0, 30)
        power = torch.where(chance(damage.low_passed), power * 10**-fall, power)
        return self._mask(torch.from_numpy(compress(power.numpy())), damage.masked, g)

    @staticmethod
    def _mask(x: Tensor, chance: float, g: torch.Generator) -> Tensor:
        for axis, longest in ((1, 25), (1, 25), (2, 12), (2, 12)):
            size = x.shape[axis]
            start, width, use = torch.rand(3, len(x), 1, generator=g)
            line = torch.arange(size)
            hole = (line >= start * size) & (line < start * size + width * longest) & (use < chance)
            x = x.masked_fill(hole[:, :, None] if axis == 1 else hole[:, None, :], 0.0)
        return x
