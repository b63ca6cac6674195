"""Sounds to log-mel blocks, and the two audio trunks side by side that read them.

The transform and the pretrained trunk (aiSFX) are those of Ma and Lerch, Representation Learning
for the Automatic Indexing of Sound Effects Libraries, ISMIR 2022.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import BindplugError, check_choice
from ...imagebind import AudioConfig, ImageBind, ImageBindConfig
from ...storage.source import source_name
from ...transforms.audio import PEAK, read_channel

RATE = 44_100  # Hz
FFT, HOP, BANDS = 2048, 1024, 96
FRAMES, STEP = 100, 50  # of a block: 2.3 s, one each 1.16 s
NORM = 9.457798957824707  # largest logarithm of the spectrograms that the trunk was trained on
SHORTEST = 0.025  # seconds
QUIET = 0.1  # of the sound's peak: quieter blocks are left out
WIDTHS = (1, 64, 128, 256, 512)  # of the pretrained trunk's blocks
OWN = AudioConfig(
    width=128, depth=4, heads=4, drop_path=0.1, mel_bins=BANDS, frames=FRAMES, patch_size=16,
    stride=10,
)  # fmt: skip
OWN_MEAN, OWN_STD = 0.2, 0.2  # of log-mel blocks, about


def transform_audio(
    source, clips: int | str = "all", normalize: str = "peak", channel: str = "mix"
) -> tuple[Tensor, list[tuple[float, float]]]:
    """One sound to (n, 100, 96) float32 log-mel blocks, and the (start, end) seconds of each.

    Args:
        source: as in `bindplug.transforms.audio.load_audio`.
        clips: "all": a block each 1.16 s, without those whose loudest sample is 20 dB or more below
            the sound's; or a number of blocks, evenly spread, fewer where there is no room for so
            many different ones.
        normalize: "peak": scaled so that the loudest sample is 0.9 of full scale; or "none".
        channel: "mix" (mean), "first", or "loudest" by its mean square.

    Raises:
        BindplugError: as in `load_audio`; shorter than 25 ms; an unknown option.
    """
    check_choice("normalize", normalize, ("none", "peak"))
    name = source_name(source, "audio array")
    wave = read_channel(source, channel, name, RATE)[0]
    if len(wave) < SHORTEST * RATE:
        raise BindplugError(f"{name}: is shorter than 25 ms; give a longer sound")
    if normalize == "peak":
        wave = wave * (PEAK / wave.abs().max().clamp(min=1e-5))
    blocks, starts = cut_blocks(log_mel(wave), clips)
    if clips == "all":
        loud = [float(wave[s * HOP : (s + FRAMES) * HOP].abs().max()) for s in starts]
        kept = [i for i, peak in enumerate(loud) if peak >= QUIET * max(loud)]
        blocks, starts = blocks[kept], [starts[i] for i in kept]
    seconds = len(wave) / RATE
    bounds = [(s * HOP / RATE, min((s + FRAMES) * HOP / RATE, seconds)) for s in starts]
    return blocks, bounds


def cut_blocks(mel: Tensor, clips: int | str = "all") -> tuple[Tensor, list[int]]:
    """(T, 96) to (n, 100, 96) blocks, zeros after the end, and the first frame of each.

    Raises BindplugError: `clips` is neither "all" nor a positive number."""
    spare = max(len(mel) - FRAMES, 0)
    if clips == "all":
        starts = [STEP * i for i in range(math.ceil(spare / STEP) + 1)]
    elif isinstance(clips, int) and not isinstance(clips, bool) and clips > 0:
        starts = sorted({round(spare * i / max(clips - 1, 1)) for i in range(clips)})
    else:
        raise BindplugError(f"clips {clips!r}; give all or a number from 1")
    mel = F.pad(mel, (0, 0, 0, starts[-1] + FRAMES - len(mel)))
    return torch.stack([mel[s : s + FRAMES] for s in starts]), starts


def band_edges() -> Tensor:
    """(98,) float64 Hz, equally spaced on the HTK mel scale: band i has its lower end, centre and
    upper end at i, i + 1 and i + 2."""
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    return 700 * (10 ** (torch.linspace(0, top, BANDS + 2, dtype=torch.float64) / 2595) - 1)


@lru_cache(maxsize=1)
def mel_banks() -> Tensor:
    """(1025, 96) triangles on the HTK mel scale from 0 to 22,050 Hz, each summing to 1."""
    edges = band_edges()
    hertz = torch.linspace(0, RATE / 2, FFT // 2 + 1, dtype=torch.float64)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    up, down = (hertz - left) / (centre - left), (right - hertz) / (right - centre)
    banks = torch.minimum(up, down).clamp(min=0)
    return (banks / banks.sum(0)).float()


def mel_power(wave: Tensor) -> Tensor:
    """(n,) at 44.1 kHz to (T, 96): the power spectrum of Hann windows each 1024 samples, zeros
    around the sound, in mel bands."""
    wave = F.pad(wave, (FFT // 2, FFT // 2 + max(0, FFT - len(wave))))
    spectrum = torch.stft(
        wave, FFT, HOP, window=torch.hann_window(FFT), center=False, return_complex=True
    )
    return spectrum.abs().square().T @ mel_banks()


def compress(power: Tensor) -> Tensor:
    """Mel power to the numbers that the trunk takes: log10(1 + 10,000 x) / 9.4578."""
    return torch.log10(1 + 10_000 * power) / NORM


def log_mel(wave: Tensor) -> Tensor:
    """(n,) at 44.1 kHz to (T, 96) float32, 0 for silence and about 1 for the loudest."""
    return compress(mel_power(wave))


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, width: int, out: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class EffectsTrunk(nn.Module):
    """(B, 100, 96) log-mel blocks to (B, 1536) features: aiSFX, under its released names.

    Of the last two convolutional blocks the mean over the bands, then its maximum and its mean over
    time. The released heads take the first 512 of them, the last block's maximum.
    """

    width = 2 * (WIDTHS[-1] + WIDTHS[-2])

    def __init__(self):
        super().__init__()
        for i, (width, out) in enumerate(pairwise(WIDTHS), 1):
            setattr(self, f"conv_block{i}", ConvBlock(width, out))
        # As the blocks that it reads: else each convolution reorders its input and its output.
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None].contiguous(memory_format=torch.channels_last)
        for block in (self.conv_block1, self.conv_block2, self.conv_block3):
            x = F.max_pool2d(block(x), 2)
        last, third = self.conv_block4(x).mean(dim=3), x.mean(dim=3)
        pooled = (last.amax(dim=2), last.mean(dim=2), third.amax(dim=2), third.mean(dim=2))
        return torch.cat(pooled, dim=1)


class OwnTrunk(nn.Module):
    """(B, 100, 96) log-mel blocks to (B, D) features: ImageBind's audio trunk at a small size."""

    def __init__(self, embed_dim: int):
        super().__init__()
        self.width = embed_dim
        config = ImageBindConfig(embed_dim=embed_dim, audio=OWN)
        self.net = ImageBind(config, modalities=["audio"])

    @staticmethod
    def prepare(x: Tensor) -> Tensor:
        """(B, 100, 96) blocks to (B, 1, 96, 100) of about zero mean and unit deviation."""
        return (x.transpose(1, 2)[:, None] - OWN_MEAN) / OWN_STD

    def forward(self, x: Tensor) -> Tensor:
        return self.net.features("audio", self.prepare(x))


class AudioTrunk(nn.Module):
    """(B, 100, 96) log-mel blocks to (B, 1536 + D) features: a pretrained trunk, and beside it one
    that learnt from this project's sounds alone."""

    def __init__(self, embed_dim: int):
        super().__init__()
        self.effects, self.own = EffectsTrunk(), OwnTrunk(embed_dim)
        self.width = self.effects.width + self.own.width

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.effects(x), self.own(x)], dim=1)
