"""The image trunk's own classifier, whose knowledge of photographs the heads are to keep."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TEMPERATURE = 0.05  # of images and texts
MARGIN = (5.0, 14.0)  # logits by which a made feature's class exceeds all others
DISTILLED = 256  # features whose class probabilities are learnt, in a step
SURE = 0.3  # probability of the likeliest class from which names that fit no likely one are wrong


class MadeFeatures:
    """Features of ImageNet's classes, whose images are not here, in two ways of equal shares: the
    classifier's row w_c itself; and real features, moved along a class's direction until the
    classifier names that class. That direction is covariance * w_c (linear discriminants:
    w_c = covariance^-1 mean_c).

    Args:
        rows: (1000, 1280) of the classifier.
        base: (N, 1280) features to move.
    """

    def __init__(self, rows: Tensor, base: Tensor):
        self.base, self.rows = base, rows - rows.mean(0)
        covariance = torch.cov(base.T) + 1e-3 * torch.eye(base.shape[1])
        directions = self.rows @ covariance
        self.directions = directions / (self.rows * directions).sum(1, keepdim=True)
        self.mean = base.mean(0)
        length = (base - self.mean).norm(dim=1).mean()
        self.plain = self.mean + 0.7 * length * F.normalize(self.rows, dim=1)

    def draw(self, chosen: Tensor, g: torch.Generator) -> Tensor:
        """(B,) classes to (B, 1280) features."""
        x = self.base[torch.randint(len(self.base), (len(chosen),), generator=g)]
        logits = x @ self.rows.T
        low, high = MARGIN
        margin = low + (high - low) * torch.rand(len(chosen), generator=g)
        gap = logits.amax(1) - logits[torch.arange(len(x)), chosen] + margin
        moved = (x + self.directions[chosen] * gap[:, None]).clamp(min=0)
        return torch.where(torch.rand(len(x), 1, generator=g) < 0.5, moved, self.plain[chosen])


class Classifier:
    """The trunk's own classifier, whose knowledge of photographs the heads are to keep.

    Args:
        linear: features to logits of ImageNet's classes.
        base: (N, 1280) features to mix.
        fits: (classes, names) bool, whether a name may be right where a class is.
    """

    def __init__(self, linear: nn.Linear, base: Tensor, fits: Tensor):
        self.linear, self.base, self.fits = linear, base, fits.float()
        self.deviation = base.std(0)

    def draw(self, g: torch.Generator) -> Tensor:
        """(DISTILLED, 1280): two features mixed, with noise."""
        x, y = self.base[torch.randint(len(self.base), (2, DISTILLED), generator=g)]
        share, level = torch.rand(2, DISTILLED, 1, generator=g)
        noise = level * self.deviation * torch.randn(x.shape, generator=g)
        return (torch.lerp(x, y, share) + noise).clamp(min=0)

    def loss(self, features: Tensor, rows: Tensor, classes: Tensor, names: Tensor) -> Tensor:
        """Divergence of the classifier's probabilities and those of the nearest texts (knowledge
        distillation, arXiv 1503.02531), the names that cannot be right among them.

        Args:
            features: (B, 1280), and `rows` (B, D), the unit vectors of the heads.
            classes: (1000, D) unit vectors of texts, one a class; `names` (N, D).
        """
        wanted = self.linear(features).softmax(1)
        unclear = (wanted @ self.fits > 0.1) | (wanted.amax(1, keepdim=True) < SURE)
        others = (rows @ names.T / TEMPERATURE).masked_fill(unclear, -1e4)
        found = torch.cat([rows @ classes.T / TEMPERATURE, others], 1).log_softmax(1)
        return F.kl_div(found[:, : len(classes)], wanted, reduction="batchmean")
