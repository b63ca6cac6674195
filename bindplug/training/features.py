"""Features of frozen trunks over augmented views, computed once and kept on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from ..device import mixed_precision
from ..storage.atomic import writing

log = logging.getLogger("bindplug")


def cached(path: Path, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors from a safetensors file, made and written where it is absent or of another key.

    Args:
        key: of everything that decides the tensors.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    if path.exists():
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("key") == key:
                return load_file(path)
        log.info("%s: was made with other settings; making it again", path)
    tensors = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as file:
        save_file(tensors, file.name, metadata={"key": key})
    return tensors


@torch.inference_mode()
def encode_views(
    trunk: Callable[[Tensor], Tensor],
    views: int,
    batches: Callable[[int], Iterable[Tensor]],
    label: str = "",
) -> Tensor:
    """(views, N, W) float16 features of a trunk, computed in bfloat16 where the device has
    instructions for it.

    Args:
        batches: view number to the inputs of all N items, in batches.
        label: of the progress bar.
    """
    from tqdm import tqdm

    out = []
    for view in tqdm(range(views), label):
        parts = []
        for x in batches(view):
            with mixed_precision(x.device):
                parts.append(trunk(x).half().cpu())
        out.append(torch.cat(parts))
    return torch.stack(out)


class Standardise(nn.Module):
    """(features - mean) / deviation, the deviation one number for all."""

    def __init__(self, features: Tensor):
        super().__init__()
        self.register_buffer("mean", features.float().mean(0))
        self.register_buffer("deviation", features.float().std(0).mean())

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() - self.mean) / self.deviation

    @torch.no_grad()
    def fold_into(self, head: nn.Linear) -> nn.Linear:
        """A linear layer on plain features that equals `head` on standardised ones."""
        folded = nn.Linear(head.in_features, head.out_features)
        folded.weight.copy_(head.weight / self.deviation)
        folded.bias.copy_(head.bias - folded.weight @ self.mean)
        return folded
