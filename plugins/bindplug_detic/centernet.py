"""Class-agnostic proposals by CenterNet (Zhou et al. 2019, 2021)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32, 64, 128)
MIN_PROBABILITY, PER_LEVEL, IOU, KEPT = 1e-4, 1000, 0.9, 256


class CenterNetHead(nn.Module):
    """One tower for all levels and both outputs."""

    def __init__(self, width: int):
        super().__init__()
        self.bbox_tower = nn.Sequential()
        for _ in range(4):
            norm = nn.GroupNorm(32 if width % 32 == 0 else 25, width)
            self.bbox_tower.extend([nn.Conv2d(width, width, 3, padding=1), norm, nn.ReLU()])
        self.bbox_pred = nn.Conv2d(width, 4, 3, padding=1)
        scales = (nn.Parameter(torch.ones(1)) for _ in STRIDES)
        self.scales = nn.ModuleList(nn.ParameterDict({"scale": s}) for s in scales)
        self.agn_hm = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Heat-map logits (B, 1, h, w) and left, top, right, bottom in strides (B, 4, h, w)."""
        heat, reach = [], []
        for stride, x in zip(self.scales, maps, strict=True):
            x = self.bbox_tower(x)
            heat.append(self.agn_hm(x))
            reach.append(F.relu(self.bbox_pred(x) * stride["scale"]))
        return heat, reach


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
    """Proposals of one image, best first, from each level's logits (1, h, w) and reach (4, h, w).

    Returns:
        Boxes (n, 4) xyxy in network pixels, not clipped to the image, and scores (n,), the
        square root of the heat map's probability.
    """
    from torchvision.ops import nms

    each = zip(heat, reach, STRIDES, strict=True)
    levels = [decode_level(h, r, stride, per_level) for h, r, stride in each]
    boxes, scores = (torch.cat(parts) for parts in zip(*levels, strict=True))
    scores = scores.sqrt()
    keep = nms(boxes, scores, IOU)
    if len(keep) > kept:
        keep = keep[scores[keep] >= scores[keep[kept - 1]]]  # ties with the last one stay
    return boxes[keep], scores[keep]
