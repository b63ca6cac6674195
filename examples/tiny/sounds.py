"""Sounds for training: log-mel spectrograms of several speeds and rooms, cut and damaged."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from data import ROOT, cached, table
from torch import Tensor

from bindplug.transforms.audio import MEAN, RATE, STD, fbank, load_audio, resample

FLOOR = -15.9424  # log of float32's epsilon, where the filter bank is cut
FRAMES, WIDTH, BINS = 198, 204, 128  # of a whole clip of 2 s, of the model's input
SPEEDS = (0.7, 0.8, 0.875, 0.9375, 1.0, 1.125, 1.25, 1.4)
ROOMS = ((0.8, 0.25), (1.0, 0.12), (1.0, 0.4), (1.25, 0.25))  # speed, decay in seconds


def _versions(wave: Tensor) -> list[Tensor]:
    """(T, 128) float16 log-mels of one sound: eight speeds, and four with a reverberation."""
    out = []
    for speed, decay in [(s, None) for s in SPEEDS] + list(ROOMS):
        w = resample(wave, round(RATE * speed), RATE)[0]
        if decay:
            t = torch.arange(int(RATE * 3 * decay)) / RATE
            room = torch.randn(len(t), generator=torch.Generator().manual_seed(len(out)))
            room *= torch.exp(-t / decay) * 0.05
            room[0] = 1.0
            n = len(w) + len(room)
            w = torch.fft.irfft(torch.fft.rfft(w, n) * torch.fft.rfft(room, n), n)[: len(w) + 8000]
        if len(w) < 400:
            w = F.pad(w, (0, 400 - len(w)))
        out.append(fbank(w - w.mean(), BINS).half())
    return out


def _all_versions() -> list[list[Tensor]]:
    rows = table("sounds.csv")
    return [_versions(load_audio(ROOT / r["file"])[0]) for r in rows]


class Sounds:
    """Log-mels of one split.

    Attributes:
        mels: for each sound, its versions, (T, 128) float16 each.
        of: for each concept, the recordings it has, each a list of sounds (takes).
    """

    def __init__(self, split: str | None, names: list[str]):
        rows = table("sounds.csv")
        everything = cached("log_mels.pt", _all_versions)
        chosen = [i for i, r in enumerate(rows) if split in (None, r["split"])]
        self.mels = [everything[i] for i in chosen]
        self.of: list[list[list[int]]] = []
        for name in names:
            groups: dict[str, list[int]] = {}
            for j, i in enumerate(chosen):
                if rows[i]["concept"] == name:
                    groups.setdefault(rows[i]["group"], []).append(j)
            self.of.append(list(groups.values()))


class Clips:
    """Batches of one damaged clip for each concept that has sounds."""

    def __init__(self, sounds: Sounds):
        self.sounds = sounds
        self.labels = torch.tensor([i for i, groups in enumerate(sounds.of) if groups])

    def _cut(self, label: int, r: list[float]) -> tuple[Tensor, int]:
        """A random 2 s of a random take: (frames, 128) and how many frames are sound."""
        groups = self.sounds.of[label]
        takes = groups[int(r[0] * len(groups))]
        versions = self.sounds.mels[takes[int(r[1] * len(takes))]]
        mel = versions[int(r[2] * len(versions))]
        spare = len(mel) - FRAMES
        if spare > 0:
            starts = [int(x * (spare + 1)) for x in r[3:6]]
            loudest = max(starts, key=lambda s: mel[s : s + FRAMES : 8].float().exp().sum())
            return mel[loudest : loudest + FRAMES].float(), FRAMES
        mel = mel.float()
        if r[6] < 0.7:  # as the transform leaves it: the rest of the clip is padding
            return F.pad(mel, (0, 0, 0, FRAMES - len(mel)), value=FLOOR), len(mel)
        gap = mel.new_full((4 + int(r[7] * 36), BINS), FLOOR)
        cycle = torch.cat([mel, gap])
        return cycle.repeat(-(-FRAMES // len(cycle)), 1)[:FRAMES], FRAMES

    def _batch(self, g: torch.Generator) -> tuple[Tensor, Tensor]:
        draws = torch.rand(len(self.labels), 8, generator=g).tolist()
        cuts = [self._cut(label, r) for label, r in zip(self.labels.tolist(), draws, strict=True)]
        return torch.stack([c for c, _ in cuts]), torch.tensor([n for _, n in cuts])

    def draw(self, g: torch.Generator, hard: float) -> tuple[Tensor, Tensor]:
        """(B, 1, 128, 204) normalised log-mels, and the concept of each.

        Args:
            hard: share of clips that get noise, mixtures and masks.
        """
        mel, length = self._batch(g)
        count = len(mel)

        def uniform(low, high, *shape):
            return low + (high - low) * torch.rand(count, *shape, generator=g)

        def chance(p):
            return (torch.rand(count, generator=g) < p)[:, None, None]

        is_hard = chance(hard)
        power, again = mel.exp(), self._batch(g)[0].exp()
        power += again * (is_hard & chance(0.2)) * uniform(-3, 0, 1, 1).exp()
        under = again[torch.randperm(count, generator=g)]
        power += under * (is_hard & chance(0.3)) * uniform(-6, -2, 1, 1).exp()
        change = self._equaliser(count, g) * torch.where(is_hard, 1.0, 0.3) + uniform(-4, 0.7, 1, 1)
        power *= change.exp()
        line = torch.linspace(-1, 1, BINS)
        loud = power.amax(dim=(1, 2), keepdim=True) * uniform(-9, -2, 1, 1).exp()
        colour = (uniform(-3, 3, 1, 1) * line).exp() * loud * (is_hard & chance(0.6))
        # The power of noise in a mel bin falls off exponentially from frame to frame.
        power -= colour * torch.rand(power.shape, generator=g).clamp(min=1e-6).log()
        cut = uniform(50, 125, 1, 1)
        fall = (torch.arange(BINS) - cut).clamp(min=0) * 0.7
        mel = power.log() - fall * chance(0.35)
        mel = mel.clamp(min=FLOOR)
        mel = self._mask(mel, is_hard, g)
        silent = torch.arange(FRAMES) >= length[:, None]
        mel = F.pad(mel.masked_fill(silent[..., None], 0.0), (0, 0, 0, WIDTH - FRAMES))
        return ((mel - MEAN) / STD).transpose(1, 2)[:, None], self.labels

    @staticmethod
    def _equaliser(count: int, g: torch.Generator) -> Tensor:
        """(B, 1, 128) nats: a tilt and a smooth ripple."""
        tilt = torch.randn(count, 1, 1, generator=g) * 1.2 * torch.linspace(-1, 1, BINS)
        ripple = torch.randn(count, 1, 6, generator=g) * 0.7
        return tilt + F.interpolate(ripple, size=BINS, mode="linear", align_corners=True)

    @staticmethod
    def _mask(mel: Tensor, is_hard: Tensor, g: torch.Generator) -> Tensor:
        hole = torch.zeros(len(mel), 1, 1, dtype=torch.bool)
        for axis, longest in ((1, 30), (1, 30), (2, 14), (2, 14)):
            size = mel.shape[axis]
            start = torch.rand(len(mel), 1, generator=g) * size
            width = torch.rand(len(mel), 1, generator=g) * longest
            line = torch.arange(size)
            band = (line >= start) & (line < start + width) & (width > longest / 2)
            hole = hole | (band[:, :, None] if axis == 1 else band[:, None, :])
        return torch.where(hole & is_hard, mel.mean(dim=(1, 2), keepdim=True), mel)
