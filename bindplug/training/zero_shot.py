"""Zero-shot figures while training."""

from __future__ import annotations

from torch import Tensor


def accuracy(vectors: Tensor, texts: Tensor, labels: Tensor) -> tuple[float, float]:
    """Shares of (N, D) unit vectors whose right text is the nearest, and among the nearest five.

    Args:
        texts: (C, D) unit vectors; `labels`, (N,), the right one of each.
    """
    hit = (vectors @ texts.T).topk(5, dim=-1).indices == labels[:, None]
    return hit[:, 0].float().mean().item(), hit.any(-1).float().mean().item()
