"""Cascade of three box heads with an open classifier, and a class-agnostic mask head."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import NMS, DeticConfig

# Divisors of the deltas (dx, dy, dw, dh) in the three stages.
STAGE_WEIGHTS = ((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0))
PYRAMID = 5  # maps p3 ... p7; the region map comes after them
MAX_LOG_GROWTH = math.log(1000 / 16)


def pool(maps: list[Tensor], boxes: list[Tensor], size: int) -> Tensor:
    """ROIAlign on p3, p4 or p5 by box size: (sum of n, C, size, size).

    Args:
        maps: at least p3, p4, p5, each (B, C, h, w), float32: in half precision a box's edge
            would be off by up to half a pixel.
        boxes: for each image (n, 4) xyxy in network pixels.
    """
    from torchvision.ops import box_area, roi_align

    index = torch.cat([b.new_full((len(b), 1), i) for i, b in enumerate(boxes)])
    rois = torch.cat([index, torch.cat(boxes)], dim=1)
    side = box_area(rois[:, 1:]).sqrt()
    level = torch.floor(4 + torch.log2(side / 224 + 1e-8)).clamp(3, 5)
    out = maps[0].new_zeros(len(rois), maps[0].shape[1], size, size)
    for i, x in enumerate(maps[:3]):
        chosen = torch.nonzero(level == 3 + i)[:, 0]
        pooled = roi_align(x, rois[chosen], size, 1 / 2 ** (3 + i), 0, aligned=True)
        out = out.index_copy(0, chosen, pooled)
    return out


def decode_deltas(boxes: Tensor, deltas: Tensor, stage: int) -> Tensor:
    """Move and scale (n, 4) xyxy boxes by (n, 4) deltas (Girshick et al. 2014)."""
    size, centre = boxes[:, 2:] - boxes[:, :2], (boxes[:, :2] + boxes[:, 2:]) / 2
    deltas = deltas / deltas.new_tensor(STAGE_WEIGHTS[stage])
    centre = centre + deltas[:, :2] * size
    size = size * deltas[:, 2:].clamp(max=MAX_LOG_GROWTH).exp()
    return torch.cat([centre - size / 2, centre + size / 2], dim=1)


def clip(boxes: Tensor, height: float, width: float) -> Tensor:
    return boxes.clamp(min=0).minimum(boxes.new_tensor([width, height] * 2))


class BoxHead(nn.Module):
    def __init__(self, config: DeticConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.fpn_width * 49, config.fc_width)
        self.fc2 = nn.Linear(config.fc_width, config.fc_width)

    def forward(self, pooled: Tensor) -> Tensor:
        pooled = pooled.flatten(1).to(self.fc1.weight.dtype)
        return F.relu(self.fc2(F.relu(self.fc1(pooled))))


class RegionHead(nn.Module):
    """What a pretrained network sees in a box, as it did before any box was trained (F-VLM, Kuo et
    al., ICLR 2023): the mean over the box of its last layer, and the squares of the probabilities
    that its own classifier gives that mean, mapped to the classifier's space."""

    def __init__(self, config: DeticConfig):
        super().__init__()
        width, classes = config.region_width, config.region_classes
        self.classifier = nn.Linear(width, classes)
        self.embed = nn.Linear(width + classes, config.embed_dim)

    def forward(self, region_map: Tensor, boxes: list[Tensor]) -> Tensor:
        """(B, W, h, w) and for each image (n, 4) boxes, to (sum of n, D) of any length."""
        from torchvision.ops import roi_align

        features = roi_align(region_map, boxes, 1, 1 / 32, 4, aligned=True)[:, :, 0, 0]
        features = features.to(self.embed.weight.dtype)
        sure = self.classifier(features).softmax(dim=1).square()
        return self.embed(torch.cat([features, sure], dim=1)).float()


class ClassScore(nn.Module):
    """50 times the cosine to the classifier's columns."""

    def __init__(self, config: DeticConfig):
        super().__init__()
        self.linear = nn.Linear(config.fc_width, config.embed_dim)

    def embed(self, x: Tensor, region: Tensor | float = 0.0) -> Tensor:
        """(n, fc), and (n, D) of `ROIHeads.regions`, to (n, D) rows of length 50 in the
        classifier's space."""
        return 50.0 * F.normalize(self.linear(x).float() + region, dim=1)


def box_predictor(config: DeticConfig) -> nn.ModuleDict:
    width = config.fc_width
    bbox_pred = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))
    return nn.ModuleDict({"cls_score": ClassScore(config), "bbox_pred": bbox_pred})


class MaskHead(nn.Module):
    def __init__(self, config: DeticConfig):
        super().__init__()
        self.convs, width = config.mask_convs, config.mask_width
        for i in range(config.mask_convs):
            into = width if i else config.fpn_width
            setattr(self, f"mask_fcn{i + 1}", nn.Conv2d(into, width, 3, padding=1))
        self.deconv = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.predictor = nn.Conv2d(width, 1, 1)

    def forward(self, pooled: Tensor) -> Tensor:
        """(n, C, 14, 14) to logits (n, 28, 28)."""
        pooled = pooled.to(self.predictor.weight.dtype)
        for i in range(self.convs):
            pooled = F.relu(getattr(self, f"mask_fcn{i + 1}")(pooled))
        return self.predictor(F.relu(self.deconv(pooled)))[:, 0]


@dataclass
class StageOutput:
    """What one stage of the cascade gives for n boxes of one image. Boxes move without regard to
    class, so none of this depends on the classifier."""

    boxes: Tensor  # (n, 4), that were pooled
    embeddings: Tensor  # (n, D), of length 50; times the classifier's columns they are logits
    deltas: Tensor  # (n, 4)
    decoded: Tensor  # (n, 4), not clipped


class ROIHeads(nn.Module):
    def __init__(self, config: DeticConfig):
        super().__init__()
        self.box_head = nn.ModuleList(BoxHead(config) for _ in STAGE_WEIGHTS)
        self.box_predictor = nn.ModuleList(box_predictor(config) for _ in STAGE_WEIGHTS)
        self.mask_head = MaskHead(config)
        if config.region_width:
            self.region = RegionHead(config)

    def regions(self, maps: list[Tensor], boxes: list[Tensor]) -> Tensor | float:
        """(sum of n, D) of the region head; 0.0 where `maps` have no region map."""
        return self.region(maps[PYRAMID], boxes) if len(maps) > PYRAMID else 0.0

    def cascade(self, maps: list[Tensor], boxes: Tensor, size) -> list[StageOutput]:
        """Three stages on one image; boxes are clipped to its (height, width), without padding,
        between the stages, not before the first. All stages share what the region head gives."""
        pooled, stages = [], []
        for i, (head, predictor) in enumerate(zip(self.box_head, self.box_predictor, strict=True)):
            x = head(pool(maps, [boxes], 7))
            deltas = predictor.bbox_pred(x).float()
            decoded = decode_deltas(boxes, deltas, i)
            pooled.append((boxes, x, deltas, decoded))
            boxes = clip(decoded, *size)
        # The region head is as slow as a stage, and boxes move little: it reads those of the last.
        region = self.regions(maps, [pooled[-1][0]])
        for predictor, (boxes, x, deltas, decoded) in zip(self.box_predictor, pooled, strict=True):
            rows = predictor.cls_score.embed(x, region)
            stages.append(StageOutput(boxes, rows, deltas, decoded))
        return stages

    def masks(self, maps: list[Tensor], boxes: Tensor) -> Tensor:
        """(n, 28, 28) probabilities inside the boxes."""
        return self.mask_head(pool(maps, [boxes], 14)).float().sigmoid()


def score_matrix(
    stages: list[StageOutput], classifier: Tensor, proposal_scores: Tensor,
    read: Callable[[Tensor], Tensor] = torch.sigmoid,
) -> Tensor:  # fmt: skip
    """(n, C): square root of the stages' mean probability times the proposal score; the classifier
    has (D, K) unit columns, `read` makes (n, C) probabilities of (n, K) logits."""
    mean = sum(read(s.embeddings @ classifier) for s in stages) / len(stages)
    return (mean * proposal_scores[:, None]).sqrt()


def select_detections(
    boxes: Tensor, scores: Tensor, threshold: float, one_class: bool, top_k: int, nms: NMS
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (m, 4), scores (m,) and class ids (m,) after threshold and per-class NMS, best first,
    of (n, 4) clipped boxes and (n, C) scores. With `one_class` each proposal keeps only its best
    class, as Detic's demo does."""
    from torchvision.ops import batched_nms

    finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores).all(dim=1)
    boxes, scores = boxes[finite], scores[finite]
    if one_class:
        scores = scores * (scores == scores.amax(dim=1, keepdim=True))
    row, column = torch.nonzero(scores > threshold, as_tuple=True)
    boxes, scores = boxes[row], scores[row, column]
    keep = batched_nms(boxes, scores, column, nms.iou)
    if nms.inside < 1:
        keep = keep[_outside_of_better(boxes[keep], column[keep], nms.inside, top_k)]
    keep = keep[:top_k]
    return boxes[keep], scores[keep], column[keep]


def _outside_of_better(boxes: Tensor, ids: Tensor, share: float, most: int) -> Tensor:
    """Places of at most `most` of (n, 4) boxes, best first, of which no more than this share of the
    area lies in a kept one of their class."""
    kept: list[int] = []
    of_class: dict[int, list[np.ndarray]] = {}
    for i, (box, own) in enumerate(zip(boxes.cpu().numpy(), ids.tolist(), strict=True)):
        better = of_class.setdefault(own, [])
        if better:
            others = np.stack(better)
            sides = np.minimum(others[:, 2:], box[2:]) - np.maximum(others[:, :2], box[:2])
            common = sides.clip(min=0).prod(axis=1).max()
            if common > share * (box[2:] - box[:2]).prod():
                continue
        better.append(box)
        kept.append(i)
        if len(kept) == most:
            break
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)
