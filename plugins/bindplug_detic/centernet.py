"""Class-agnostic proposals by CenterNet (Zhou et al. 2019, 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32, 64, 128)
MIN_PROBABILITY, PER_LEVEL, IOU, KEPT = 1e-4, 1000, 0.9, 256


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class CenterNetHead(nn.Module):
    """One tower for all levels and both outputs."""

    def __init__(self, width: int):
        super().__init__()
        layers = []
        for _ in range(4):
            norm = nn.GroupNorm(32 if width % 32 == 0 else 25, width)
            layers += [nn.Conv2d(width, width, 3, padding=1), norm, nn.ReLU()]
        self.bbox_tower = nn.Sequential(*layers)
        self.bbox_pred = nn.Conv2d(width, 4, 3, padding=1)
        self.scales = nn.ModuleList(Scale() for _ in STRIDES)
        self.agn_hm = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Heat-map logits (B, 1, h, w) and left, top, right, bottom in strides (B, 4, h, w)."""
        heat, reach = [], []
        for scale, x in zip(self.scales, maps, strict=True):
            x = self.bbox_tower(x)
            heat.append(self.agn_hm(x))
            reach.append(F.relu(scale(self.bbox_pred(x))))
        return heat, reach


class ProposalGenerator(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.centernet_head = CenterNetHead(width)

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        return self.centernet_head(maps)


def decode_level(heat: Tensor, reach: Tensor, stride: int, most: int) -> tuple[Tensor, Tensor]:
    """Candidates of one level of one image: boxes (n, 4) xyxy unclipped, probabilities (n,)."""
    probability = heat.sigmoid().flatten()
    index = torch.nonzero(probability > MIN_PROBABILITY)[:, 0]
    if len(index) > most:
        index = index[probability[index].topk(most).indices]
    width = heat.shape[-1]
    column, row = index % width, index // width
    centre = torch.stack([column, row], dim=1) * stride + stride // 2
    reach = reach.flatten(1)[:, index].T * stride
    low, high = centre - reach[:, :2], centre + reach[:, 2:]
    return torch.cat([low, torch.maximum(high, low + 0.01)], dim=1), probability[index]


def select_proposals(
    heat: list[Tensor], reach: list[Tensor], per_level=PER_LEVEL, kept=KEPT
) -> tuple[Tensor, Tensor]:
    """Proposals of one image, best first.

    Args:
        heat: for each level (1, h, w) logits.
        reach: for each level (4, h, w), in strides.

    Returns:
        Boxes (n, 4) xyxy in network pixels, not clipped to the image, and scores (n,), the
        square root of the heat map's probability.
    """
    from torchvision.ops import nms

    levels = [
        decode_level(h, r, s, per_level) for h, r, s in zip(heat, reach, STRIDES, strict=True)
    ]
    boxes = torch.cat([b for b, _ in levels])
    scores = torch.cat([p for _, p in levels]).sqrt()
    keep = nms(boxes, scores, IOU)
    boxes, scores = boxes[keep], scores[keep]
    if len(scores) > kept:
        chosen = scores >= scores[kept - 1]  # ties with the last one stay
        boxes, scores = boxes[chosen], scores[chosen]
    return boxes, scores
