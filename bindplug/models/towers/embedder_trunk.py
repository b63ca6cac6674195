"""The tower of an embedder as a frozen trunk: its own transform, its own vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import BindplugError
from .probe import probe
from .tower import Trunk

# Families whose members an embedder encodes by one tower.
SHARED = {"image": ("image", "video")}


class EmbedderTrunk(Trunk):
    """(B, ...) clips of an embedder's transform to its (B, D) unit vectors. It has no parameters:
    the embedder stays where it is, and a saved tower refers to it by name.

    Args:
        modality: one that the embedder supports.
        embedder: a `bindplug.Embedder`.

    Raises BindplugError: the embedder does not support the modality."""

    def __init__(self, modality: str, embedder):
        super().__init__()
        if modality not in embedder.modalities:
            raise BindplugError(
                f"{embedder.space!r} does not embed {modality}; it supports "
                f"{', '.join(embedder.modalities)}"
            )
        self.embedder = embedder
        family = SHARED.get(modality, (modality,))
        self.modalities = tuple(m for m in family if m in embedder.modalities)
        self.pretrained = True
        self.clip_seconds = {"audio": 2.0, "imu": 5.0}.get(modality)
        self.width = width_of(embedder)

    def transform(self, modality: str, item, **options) -> tuple[Tensor, tuple]:
        clips, times = self.embedder.network.transform(modality, item, **options)
        return torch.as_tensor(clips), times

    def options(self, modality: str) -> tuple[str, ...]:
        return self.embedder.options(modality)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            out = self.embedder.network.encode(self.modalities[0], x)
        rows = torch.as_tensor(out).clone().float().to(x.device)  # of onnx: on the CPU
        return torch.nn.functional.normalize(rows, dim=-1)


def width_of(embedder) -> int:
    """Dimensions of an embedder's space."""
    config = getattr(embedder.network, "config", None)
    width = config.get("embed_dim") if isinstance(config, dict) else getattr(config, "embed_dim", 0)
    if width:
        return width
    modality = "text" if "text" in embedder.modalities else embedder.modalities[0]
    return embedder.embed(**{modality: probe(modality)}).vectors.shape[1]
