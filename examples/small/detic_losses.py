"""Detic's training losses: CenterNet, cascade and mask, on box-labelled scenes.

Sources: Zhou et al. 2021 (CenterNet2) and 2022 (Detic); every object's class is known, so the
classifier takes all classes at once, and since it has but one, they compete in a softmax too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou, roi_align
from trunk_classifier import TEMPERATURE

from bindplug_detic import Detic
from bindplug_detic.centernet import STRIDES, select_proposals
from bindplug_detic.roi_heads import PYRAMID, STAGE_WEIGHTS, clip, decode_deltas, pool

LEVELS = ((0, 80), (64, 160), (128, 320), (256, 640), (512, 1e9))  # half diagonals, pixels
DELTA = (1 - 0.8) / (1 + 0.8)
SAMPLES, FOREGROUND = 32, 12  # boxes an image in stage 0
IMITATION = 3.0  # weight of the distance from images' embeddings
MATCH = (0.6, 0.7, 0.8)  # IoU that makes a box foreground, by stage
LOOSE = 0.5  # IoU from which the object's class is no negative


def _cells(height: int, width: int, stride: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], dim=-1).view(-1, 2) * stride + stride // 2


def centernet_targets(boxes: Tensor, sizes: list[tuple[int, int]]) -> list[tuple[Tensor, ...]]:
    """For each level: heat (cells,), positive cell ids, regression (cells, 4), weight (cells,)."""
    centre, extent = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    half_diagonal = extent.norm(dim=1) / 2
    radius2 = (2 * extent.prod(1) * DELTA**2).clamp(min=16)
    out = []
    for (height, width), stride, (low, high) in zip(sizes, STRIDES, LEVELS, strict=True):
        cells = _cells(height, width, stride).float()
        at = (centre / stride).floor()
        central = (cells[:, None] - (at * stride + stride // 2)).abs() < 0.5
        is_centre = central.all(-1)  # (cells, n)
        near = ((cells[:, None] - (at * stride + stride // 2)).abs() <= stride).all(-1)
        distance = (cells[:, None] - centre).square().sum(-1)
        distance = distance.masked_fill(is_centre, 0) / radius2
        heat = torch.exp(-distance.min(1).values)
        heat = heat.masked_fill(heat < 1e-4, 0)
        responsible = (half_diagonal >= low) & (half_diagonal <= high)
        reach = torch.cat([cells[:, None] - boxes[:, :2], boxes[:, 2:] - cells[:, None]], -1)
        valid = near & responsible & (reach.min(-1).values > 0)
        chosen = distance.masked_fill(~valid, 1e9).argmin(1)
        regression = reach[torch.arange(len(cells)), chosen] / stride
        positive = torch.nonzero((is_centre & responsible).any(1))[:, 0]
        out.append((heat, positive, regression, valid.any(1)))
    return out


def centernet_loss(heat: list[Tensor], reach: list[Tensor], boxes: list[Tensor]) -> Tensor:
    sizes = [tuple(h.shape[-2:]) for h in heat]
    logits, targets, positives, predicted, wanted, weights = [], [], [], [], [], []
    offset = 0
    for i, gt in enumerate(boxes):
        for level, (h, pos, reg, valid) in enumerate(centernet_targets(gt.cpu(), sizes)):
            logits.append(heat[level][i].flatten())
            predicted.append(reach[level][i].flatten(1).T)
            targets.append(h)
            positives.append(pos + offset)
            wanted.append(reg)
            weights.append(valid)
            offset += len(h)
    device = heat[0].device
    p = torch.cat(logits).sigmoid().clamp(1e-4, 1 - 1e-4)
    target, pos = torch.cat(targets).to(device), torch.cat(positives).to(device)
    count = max(len(pos), 1)
    at = p[pos]
    loss_pos = -0.25 * ((1 - at) ** 2 * at.log()).sum() / count
    negative = -0.75 * p**2 * (1 - target) ** 4 * (1 - p).log()
    loss_neg = negative[p < 0.85].sum() / count
    valid = torch.cat(weights).to(device)
    a, b = torch.cat(predicted)[valid], torch.cat(wanted).to(device)[valid]
    return 0.5 * (loss_pos + loss_neg) + giou_loss(a, b).sum() / max(len(a), 1)


def giou_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 - GIoU of boxes given as left, top, right, bottom from a common point."""
    area_a = (a[:, 0] + a[:, 2]) * (a[:, 1] + a[:, 3])
    area_b = (b[:, 0] + b[:, 2]) * (b[:, 1] + b[:, 3])
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    inter = (low[:, 0] + low[:, 2]) * (low[:, 1] + low[:, 3])
    hull = (high[:, 0] + high[:, 2]) * (high[:, 1] + high[:, 3])
    union = area_a + area_b - inter
    return 1 - ((inter + 1) / (union + 1) - (hull - union) / hull.clamp(min=1e-6))


def encode_deltas(boxes: Tensor, target: Tensor, stage: int) -> Tensor:
    """The inverse of `decode_deltas`."""
    size, goal = boxes[:, 2:] - boxes[:, :2], target[:, 2:] - target[:, :2]
    shift = (target[:, :2] + target[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2 / size
    return torch.cat([shift, (goal / size).log()], 1) * boxes.new_tensor(STAGE_WEIGHTS[stage])


def _match(boxes: Tensor, gt: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    best, which = box_iou(boxes, gt).max(1)
    return which, best >= threshold


def _loose(boxes: Tensor, scene, classes: int) -> Tensor:
    """(n, C) bool: classes of the objects that a box meets by LOOSE."""
    near = (box_iou(boxes, scene.boxes) >= LOOSE).to(boxes)
    return near @ F.one_hot(scene.labels, classes).to(boxes) > 0


def _sample(foreground: Tensor, g: torch.Generator) -> Tensor:
    order = torch.randperm(len(foreground), generator=g).to(foreground.device)
    fg = order[foreground[order]][:FOREGROUND]
    bg = order[~foreground[order]][: SAMPLES - len(fg)]
    return torch.cat([fg, bg])


class ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.factor, None


def class_loss(
    model: Detic,
    images: Tensor,
    boxes: list[Tensor],
    labels: Tensor,
    classifier: Tensor,
    targets: Tensor,
    g: torch.Generator,
) -> Tensor:
    """Cross-entropy of every stage's classes on boxes near the true ones, plus the distance of
    their embeddings from those of what they hold (`imitation_loss`).

    Args:
        images: (B, 3, H, W) normalised as Detic's.
        boxes: of each image; `labels`, columns of the classifier, of all of them in order.
        classifier: (D, C) unit columns.
        targets: (n, D) unit image embeddings of what the boxes hold.
    """
    loss = images.new_zeros(())
    for rows in near_boxes(model, images, boxes, g):
        loss = loss + F.cross_entropy(rows @ classifier, labels) + imitation_loss(rows, targets)
    return loss / 3


def near_boxes(
    model: Detic, images: Tensor, boxes: list[Tensor], g: torch.Generator
) -> list[Tensor]:
    """For each stage (n, D) embeddings of boxes near the given ones, as far off as the stage's
    MATCH allows."""
    height, width = images.shape[-2:]
    maps = model.backbone(images)
    out = []
    for stage, spread in enumerate((0.1, 0.06, 0.04)):
        near = [clip(_jitter(b, spread, g), height, width) for b in boxes]
        x = model.roi_heads.box_head[stage](pool(maps, near, 7))
        head = model.roi_heads.box_predictor[stage].cls_score
        out.append(head.embed(x, model.roi_heads.regions(maps, near)))
    return out


def imitation_loss(rows: Tensor, targets: Tensor) -> Tensor:
    """1 - cosine of (n, D) box embeddings and image embeddings of the same crops (ViLD, arXiv
    2104.13921, with a cosine in place of L1), both less their mean: the sigmoids need a common
    offset from all names, which images' embeddings do not have."""
    return (
        IMITATION * (1 - F.cosine_similarity(rows - rows.mean(0), targets - targets.mean(0))).mean()
    )


def naming_loss(rows: Tensor, targets: Tensor, names: Tensor) -> Tensor:
    """Binary cross-entropy of the classes of (n, D) box embeddings and the probabilities that
    images' embeddings give: what the image side is sure of is to be found in photographs too,
    whose things have no outline as pasted ones have.

    Args:
        targets: (n, D) unit image embeddings of the boxes' crops.
        names: (D, N) unit columns.
    """
    wanted = (targets @ names / TEMPERATURE).softmax(1)
    each = F.binary_cross_entropy_with_logits(rows @ names, wanted, reduction="sum")
    return each / len(rows)


def _jitter(boxes: Tensor, spread: float, g: torch.Generator) -> Tensor:
    size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    return boxes + spread * size * torch.randn(boxes.shape, generator=g).to(boxes).clamp(-2, 2)


def detic_loss(
    model: Detic, images: Tensor, scenes: list, classifier: Tensor, g: torch.Generator
) -> Tensor:
    """Sum of all losses on a batch.

    Args:
        images: (B, 3, H, W) normalised as Detic's.
        scenes: with `boxes`, `labels` (columns of the classifier) and `masks`, on `images`' device.
        classifier: (D, C) unit columns.
    """
    height, width = images.shape[-2:]
    maps = model.backbone(images)
    heat, reach = model.proposal_generator(maps[:PYRAMID])
    loss = centernet_loss(heat, reach, [s.boxes for s in scenes])
    boxes, labels, targets = [], [], []
    for i, scene in enumerate(scenes):
        with torch.no_grad():
            found, _ = select_proposals([h[i] for h in heat], [r[i] for r in reach], 300, 128)
        found = torch.cat([clip(found, height, width), scene.boxes])
        found = found[(found[:, 2:] - found[:, :2]).min(1).values > 1]
        which, fg = _match(found, scene.boxes, MATCH[0])
        kept = _sample(fg, g)
        boxes.append(found[kept])
        labels.append(torch.where(fg[kept], scene.labels[which[kept]], -1))
        targets.append(which[kept])
    loss = loss + mask_loss(model, maps, boxes, labels, targets, scenes)
    for stage in range(3):
        x = model.roi_heads.box_head[stage](ScaleGradient.apply(pool(maps, boxes, 7), 1 / 3))
        predictor = model.roi_heads.box_predictor[stage]
        rows = predictor.cls_score.embed(x, model.roi_heads.regions(maps, boxes))
        logits, deltas = rows @ classifier, predictor.bbox_pred(x)
        label, flat = torch.cat(labels), torch.cat(boxes)
        fg = label >= 0
        one_hot = torch.zeros_like(logits)
        one_hot[fg, label[fg]] = 1
        each = F.binary_cross_entropy_with_logits(logits, one_hot, reduction="none")
        loose = torch.cat([
            _loose(b, s, len(classifier.T)) for b, s in zip(boxes, scenes, strict=True)
        ])  # fmt: skip
        loss = (
            loss
            + each[(one_hot > 0) | ~loose].sum() / len(flat)
            + F.cross_entropy(logits[fg], label[fg])
        )
        goal = torch.cat([s.boxes[t] for s, t in zip(scenes, targets, strict=True)])
        wanted = encode_deltas(flat[fg], goal[fg], stage)
        loss = loss + (deltas[fg] - wanted).abs().sum() / len(flat)
        if stage < 2:
            moved = clip(decode_deltas(flat, deltas.detach(), stage), height, width)
            parts = moved.split([len(b) for b in boxes])
            boxes, labels, targets = [], [], []
            for part, scene in zip(parts, scenes, strict=True):
                part = part[(part[:, 2:] - part[:, :2]).min(1).values > 1]
                which, fg = _match(part, scene.boxes, MATCH[stage + 1])
                boxes.append(part)
                labels.append(torch.where(fg, scene.labels[which], -1))
                targets.append(which)
    return loss


def mask_loss(model, maps, boxes, labels, targets, scenes) -> Tensor:
    chosen = [b[la >= 0] for b, la in zip(boxes, labels, strict=True)]
    goals = []
    for scene, box, label, which in zip(scenes, chosen, labels, targets, strict=True):
        rows = which[label >= 0]
        rois = torch.cat([rows[:, None].float(), box], 1)
        goals.append(roi_align(scene.masks[:, None].float(), rois, 28, 1.0, 0, aligned=True)[:, 0])
    goal = torch.cat(goals) >= 0.5
    logits = model.roi_heads.mask_head(pool(maps, chosen, 14))
    return F.binary_cross_entropy_with_logits(logits, goal.float())
