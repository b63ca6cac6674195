"""A tower: a trunk that turns inputs of one modality into features, and a head into the space."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import BindplugError, check_choice
from ...plugins import NumpyTransform

HEADS = ("linear", "mlp", "none")
NORMS = (nn.modules.batchnorm._BatchNorm,)


class Trunk(nn.Module):
    """What a trunk is. A plugin's trunk may be any `nn.Module` with `width`, `modalities`,
    `transform` and `forward`; the rest has the defaults of this class.

    Attributes:
        width: of the features.
        modalities: the kinds of input that it encodes, its own first.
        clip_seconds: of one clip, for sounds, videos and motion; None for stills and texts.
        frequency_axis: of its input, for masking bands of a spectrogram; None without one.
        pretrained: whether its weights come from elsewhere. Batch norms then keep the statistics
            that they came with, also in training.
    """

    width: int
    modalities: tuple[str, ...]
    clip_seconds: float | None = None
    frequency_axis: int | None = None
    pretrained: bool = False

    def transform(self, modality: str, item, **options) -> tuple[Tensor, tuple]:
        """One input to (n, ...) clips and their (start, end) seconds: `Network.transform`."""
        raise NotImplementedError

    def options(self, modality: str) -> tuple[str, ...]:
        """Names of the options that `transform` takes."""
        return ()

    def numpy_transform(self, modality: str) -> NumpyTransform | None:
        """As in `Network`."""
        return None

    def skeleton(self, name: str, arguments: dict) -> tuple[str, dict]:
        """The name and arguments that build this trunk again without fetching weights, which a
        saved folder holds; given those that it was built with."""
        return name, arguments

    def save_files(self, folder: Path) -> None:
        """Write what `skeleton` refers to beside the weights, as names below the folder."""

    def blocks(self) -> list[nn.Module]:
        """Its layers in order, each (B, L, W) to (B, L, W) or alike, to freeze the first ones and
        to recompute activations; none where it cannot be divided."""
        return []

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) clips to (B, width) features."""
        raise NotImplementedError


def attribute(trunk: nn.Module, name: str):
    """An attribute of a trunk, or the default of `Trunk` where a plugin's trunk has none."""
    if hasattr(trunk, name):
        return getattr(trunk, name)
    default = getattr(Trunk, name)
    return default.__get__(trunk) if isinstance(default, Callable) else default


class Head(nn.Module):
    """(B, in) features to (B, out), after (x - mean) / deviation and dropout.

    Args:
        kind: "linear"; "mlp": linear, GELU, linear with the features' width between; "none": the
            features themselves, whose width is that of the space.
    """

    def __init__(self, kind: str, features: int, out: int, dropout: float = 0.0):
        super().__init__()
        check_choice("head", kind, HEADS)
        if kind == "none" and features != out:
            raise BindplugError(
                f"a tower without a head has {features}-d features and the space {out} dimensions; "
                "choose the head linear or mlp"
            )
        self.kind, self.dropout = kind, dropout
        if kind != "none":
            self.register_buffer("mean", torch.zeros(features))
            self.register_buffer("deviation", torch.ones(()))
        layers = [nn.Linear(features, out)] if kind != "none" else []
        if kind == "mlp":
            layers = [nn.Linear(features, features), nn.GELU(), *layers]
        self.layers = nn.Sequential(*layers)

    @torch.no_grad()
    def standardise(self, features: Tensor) -> None:
        """Take mean and deviation, one number for all axes, from (N, in) features."""
        if self.kind != "none":
            self.mean.copy_(features.float().mean(0))
            self.deviation.copy_(features.float().std(0).mean().clamp(min=1e-6))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "none":
            return x
        x = (x - self.mean) / self.deviation
        return self.layers(F.dropout(x, self.dropout, self.training))


class Tower(nn.Module):
    """A trunk and its head.

    Args:
        is_frozen: the trunk is not trained: it works in evaluation mode and without gradients.
        precision: of the trunk's work, torch.float32 or torch.bfloat16 (autocast); the head is
            always computed in float32.
    """

    def __init__(self, trunk: nn.Module, head: Head, is_frozen: bool = False):
        super().__init__()
        self.trunk, self.head, self.is_frozen = trunk, head, False
        self.precision = torch.float32
        if is_frozen:
            self.freeze()

    def train(self, mode: bool = True) -> Tower:
        """Training mode, but for a frozen trunk and for batch norms that came trained."""
        super().train(mode)
        if self.is_frozen:
            self.trunk.eval()
        elif attribute(self.trunk, "pretrained"):
            for module in self.trunk.modules():
                if isinstance(module, NORMS):
                    module.eval()
        return self

    def features(self, x: Tensor) -> Tensor:
        """(B, ...) clips to (B, width) float32 features of the trunk."""
        frozen = torch.no_grad() if self.is_frozen else nullcontext()
        low = self.precision is not torch.float32
        with frozen, torch.autocast(x.device.type, self.precision, enabled=low):
            out = self.trunk(x).float()
        if out.shape != (x.shape[0], self.trunk.width):
            raise BindplugError(
                f"the trunk {type(self.trunk).__name__} gives {tuple(out.shape)} features of "
                f"{x.shape[0]} clips; its width says {self.trunk.width}"
            )
        return out

    def project(self, features: Tensor) -> Tensor:
        """(B, width) features to (B, D) float32 unit vectors."""
        return F.normalize(self.head(features.float()), dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) clips to (B, D) float32 unit vectors."""
        return self.project(self.features(x))

    def freeze(self) -> None:
        """Freeze the trunk; the head stays in training."""
        self.is_frozen = True
        self.trunk.requires_grad_(False)

    def free_blocks(self, count: int) -> None:
        """Freeze the trunk but for its last `count` blocks and what no block holds after them.

        Raises BindplugError: it has no blocks, or not so many."""
        blocks = attribute(self.trunk, "blocks")()
        if not 0 < count <= len(blocks):
            raise BindplugError(
                f"{count} blocks shall stay unlocked, and this trunk has {len(blocks)}"
            )
        self.trunk.requires_grad_(False)
        for block in blocks[len(blocks) - count :]:
            block.requires_grad_(True)

    def recompute_activations(self) -> None:
        """Keep only each block's input for the backward pass (gradient checkpointing)."""
        from torch.utils.checkpoint import checkpoint

        blocks = attribute(self.trunk, "blocks")()
        if not blocks:
            raise BindplugError("gradient checkpointing: this trunk has no blocks to recompute")
        for block in blocks:
            block.forward = _recomputed(block, block.forward, checkpoint)


def _recomputed(block: nn.Module, forward: Callable, checkpoint: Callable) -> Callable:
    def run(*args, **kwargs):
        if block.training and torch.is_grad_enabled():
            return checkpoint(forward, *args, use_reentrant=False, **kwargs)
        return forward(*args, **kwargs)

    return run
