"""The two audio trunks side by side that read log-mel blocks (`log_mel`).

The pretrained trunk (aiSFX) is that of Ma and Lerch, Representation Learning
for the Automatic Indexing of Sound Effects Libraries, ISMIR 2022.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...imagebind import AudioConfig, ImageBind, ImageBindConfig
from .log_mel import BANDS, FRAMES, sound_blocks

WIDTHS = (1, 64, 128, 256, 512)  # of the pretrained trunk's blocks
OWN = AudioConfig(
    width=128, depth=4, heads=4, drop_path=0.1, mel_bins=BANDS, frames=FRAMES, patch_size=16,
    stride=10,
)  # fmt: skip
OWN_MEAN, OWN_STD = 0.2, 0.2  # of log-mel blocks, about


def transform_audio(
    source, clips: int | str = "all", normalize: str = "peak", channel: str = "mix"
) -> tuple[Tensor, list[tuple[float, float]]]:
    """`sound_blocks` as a tensor, and the blocks' seconds."""
    blocks, bounds = sound_blocks(source, clips, normalize, channel)
    return torch.from_numpy(blocks), bounds


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
