"""Losses between the embeddings of two modalities, and their temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import BindplugError

BIAS = -10.0  # initial, of the sigmoid loss (SigLIP, arXiv 2303.15343, section 3.2)


@dataclass(frozen=True)
class Temperature:
    """Of the softmax of one pair of modalities.

    Attributes:
        initial: logits are cosines over this.
        is_learnt: whether log(1 / temperature) is trained.
        low, high: bounds of a learnt one.
    """

    initial: float = 0.07
    is_learnt: bool = False
    low: float = 0.01
    high: float = 10.0

    def __post_init__(self):
        if not 0 < self.low <= self.initial <= self.high < math.inf:
            raise BindplugError(
                f"temperature {self.initial} within {self.low} to {self.high}; give positive "
                "numbers, the first between the others"
            )


class ContrastiveLoss(nn.Module):
    """The loss of one pair of modalities: symmetric InfoNCE, or the sigmoid loss.

    Args:
        is_sigmoid: SigLIP's: a logistic regression on every pair, with a learnt bias.
    """

    def __init__(self, temperature: Temperature, is_sigmoid: bool = False):
        super().__init__()
        self.bounds = (math.log(1 / temperature.high), math.log(1 / temperature.low))
        self.log_scale = nn.Parameter(
            torch.tensor(math.log(1 / temperature.initial)), requires_grad=temperature.is_learnt
        )
        self.bias = nn.Parameter(torch.tensor(BIAS)) if is_sigmoid else None

    def scale(self) -> Tensor:
        """1 / temperature."""
        return self.log_scale.exp()

    @torch.no_grad()
    def keep_in_bounds(self) -> None:
        """Set a temperature that a step took beyond its bounds back to the nearest one."""
        self.log_scale.clamp_(*self.bounds)

    def forward(self, a: Tensor, b: Tensor, positives: Tensor | None = None) -> Tensor:
        """A scalar.

        Args:
            a, b: (B, D) unit vectors; row i of one belongs to row i of the other.
            positives: (B, B) bool, symmetric, which rows belong together; None for the diagonal.
        """
        if self.bias is None:
            return soft_info_nce(self.scale() * a @ b.T, positives)
        return sigmoid_loss(self.scale() * a @ b.T + self.bias, positives)


def soft_info_nce(logits: Tensor, positives: Tensor | None = None) -> Tensor:
    """Mean of the cross-entropies of rows and columns of (B, B) logits against their positives.

    The target of a row is spread evenly over its positives, so that none of them is a false
    negative (UniCL, arXiv 2204.03610, eq. 2); with the diagonal alone it is ImageBind's eq. 1, both
    ways.

    Args:
        positives: as in `ContrastiveLoss`.
    """
    if positives is None:
        target = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    share = positives / positives.sum(1, keepdim=True)
    return (F.cross_entropy(logits, share) + F.cross_entropy(logits.T, share)) / 2


def sigmoid_loss(logits: Tensor, positives: Tensor | None = None) -> Tensor:
    """-(1 / B) sum_ij log sigmoid(z_ij logits_ij), z = 1 for positives and -1 for all others
    (SigLIP, arXiv 2303.15343, eq. 3)."""
    if positives is None:
        positives = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    sign = torch.where(positives, 1.0, -1.0)
    return -F.logsigmoid(sign * logits).sum() / len(logits)


def positives_of(ids: Tensor) -> Tensor | None:
    """(B,) int64 numbers of labels or groups to (B, B) bool, which rows share one; None where no
    two rows do."""
    same = ids[:, None] == ids
    return None if int(same.sum()) == len(ids) else same
