"""Text to features: a weighted mean of word vectors, and a hidden layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .words import UNKNOWN


def with_hidden(hidden: nn.Linear, mean: Tensor) -> Tensor:
    """(B, width) means of word vectors to (B, units + width): a layer of GELUs, and the means."""
    return torch.cat([F.gelu(hidden(mean)), mean], dim=-1)


class TextTrunk(nn.Module):
    """(B, L) int64 rows to (B, hidden + width) features: the mean of the words' vectors, weighted
    by softmax(weights), and before it a hidden layer of GELUs, which sets many names apart.

    Args:
        rows: of the table; row 0 stands for no word.
        width: of a vector.
        hidden: units of the layer.
    """

    def __init__(self, rows: int, width: int, hidden: int):
        super().__init__()
        self.width = hidden + width
        self.vectors, self.weights = nn.Embedding(rows, width), nn.Embedding(rows, 1)
        self.hidden = nn.Linear(width, hidden)

    def forward(self, ids: Tensor) -> Tensor:
        share = self.weights(ids).float().masked_fill(ids[..., None] == UNKNOWN, -1e9)
        share = share.softmax(dim=1).to(self.vectors.weight.dtype)
        return with_hidden(self.hidden, (share * self.vectors(ids)).sum(dim=1))
