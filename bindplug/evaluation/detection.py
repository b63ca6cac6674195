"""COCO average precision (pycocotools) and class-agnostic recall of boxes."""

import contextlib
import io
import math
from collections.abc import Sequence

import numpy as np

from ..detection.results import Detections, coco_results
from ..errors import BindplugError, MissingDependency, first_line

STATS = {"AP": 0, "AP50": 1, "AP75": 2, "AR": 8}  # indices of COCOeval.stats


def average_precision(
    found: Sequence[Detections], boxes: Sequence[np.ndarray], labels: Sequence[np.ndarray]
) -> dict[str, float | None]:
    """COCO's AP, AP50, AP75 and AR of boxes, over the classes that occur in the truth; returns and
    raises as `coco_figures`.

    Args:
        found: detections of each image; class ids as in `labels`.
        boxes, labels: the truth of each image, (n, 4) xyxy pixels and (n,) class ids.
    """
    annotations = [
        {"image_id": i, "category_id": int(c) + 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for i, (rows, ids) in enumerate(zip(boxes, labels, strict=True), start=1)
        for (x0, y0, x1, y1), c in zip(rows.tolist(), ids.tolist(), strict=True)
    ]
    truth = {
        "images": [{"id": i + 1} for i in range(len(found))],
        "categories": [{"id": c} for c in sorted({a["category_id"] for a in annotations})],
        "annotations": annotations,
    }
    return coco_figures(truth, coco_results(found))


def coco_figures(truth: dict, results: list[dict], name: str = "COCO") -> dict[str, float | None]:
    """AP, AP50, AP75 and AR (100 boxes an image) of COCO results, in [0, 1], by pycocotools.

    Args:
        truth: a COCO annotation file's content, or that of `complete`.
        results: COCO's results list; only `bbox`, `score`, `image_id` and `category_id` are used.
        name: of the truth, for messages.

    Returns:
        None for each where the truth has no box that counts.

    Raises BindplugError: not the content of a COCO file, or results that do not fit to it;
    MissingDependency: pycocotools is not installed."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as err:
        raise MissingDependency(
            "pycocotools is not installed; run: pip install pycocotools"
        ) from err
    truth = complete(truth, name)
    keys = ("image_id", "category_id", "bbox", "score")
    if all(a["iscrowd"] for a in truth["annotations"]):
        return dict.fromkeys(STATS)
    if not results:
        return dict.fromkeys(STATS, 0.0)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            own = COCO()
            own.dataset = truth
            own.createIndex()
            score = COCOeval(own, own.loadRes([{k: r[k] for k in keys} for r in results]), "bbox")
            score.evaluate()
            score.accumulate()
            score.summarize()
    except Exception as err:  # whatever pycocotools and numpy raise for what they do not expect
        reason = first_line(err)
        raise BindplugError(f"{name}: cannot be evaluated by pycocotools: {reason}") from err
    figures = {key: float(score.stats[i]) for key, i in STATS.items()}
    return {key: None if value < 0 else value for key, value in figures.items()}


def complete(truth: dict, name: str) -> dict:
    """A COCO annotation file's content with everything that pycocotools needs.

    `area` is width times height of the box where it is absent, `iscrowd` 0, a category's name its
    id. Annotations are always numbered from 1: pycocotools counts one whose id is 0 as missed.

    Args:
        name: of the file, for messages.

    Raises BindplugError: an entry that lacks what cannot be guessed (it is named): an image or
    category its id, an annotation its box, or an image or category that is listed."""
    kinds = ("images", "annotations", "categories")
    if not isinstance(truth, dict) or not all(isinstance(truth.get(k), list) for k in kinds):
        raise BindplugError(f"{name}: is not a COCO file with images, annotations and categories")

    for kind in kinds:
        for number, row in enumerate(truth[kind], 1):
            if not isinstance(row, dict):
                raise BindplugError(f"{name}: entry {number} of {kind} is not a JSON object")
    ids: dict[str, dict] = {"images": {}, "categories": {}}
    for kind, seen in ids.items():
        for number, row in enumerate(truth[kind], 1):
            own, entry = row.get("id"), f"{name}: entry {number} of {kind}"
            if type(own) not in (int, str) or type(own) is not type(next(iter(seen), own)):
                raise BindplugError(
                    f"{entry} has no id of the same kind as the others; give it a number"
                )
            if own in seen:
                raise BindplugError(f"{entry} has the id {own!r} of another")
            seen[own] = row
    annotations = []
    for number, row in enumerate(truth["annotations"], 1):
        entry = f"{name}: entry {number} of annotations"
        for kind, key in (("images", "image_id"), ("categories", "category_id")):
            if type(row.get(key)) not in (int, str) or row[key] not in ids[kind]:
                raise BindplugError(f"{entry}: its {key} {row.get(key)!r} is not among the {kind}")
        box, area = row.get("bbox"), row.get("area")
        if not (isinstance(box, list) and len(box) == 4 and all(map(_is_finite, box))):
            raise BindplugError(f"{entry}: its bbox is not [x, y, width, height] in pixels")
        area = area if _is_finite(area) else box[2] * box[3]
        iscrowd = 1 if row.get("iscrowd") else 0
        annotations.append({**row, "id": number, "area": area, "iscrowd": iscrowd})
    categories = [{"name": str(c["id"]), **c} for c in truth["categories"]]
    return {"info": {}, **truth, "annotations": annotations, "categories": categories}


def _is_finite(value) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def proposal_recall(
    proposals: Sequence[np.ndarray], boxes: Sequence[np.ndarray], iou: float = 0.5
) -> float:
    """Share of true boxes that some proposal of the same image overlaps by at least `iou`.

    Args:
        proposals, boxes: of each image, (n, 4) xyxy pixels.
    """
    import torch
    from torchvision.ops import box_iou

    hit = total = 0
    for rows, truth in zip(proposals, boxes, strict=True):
        overlaps = box_iou(torch.as_tensor(rows), torch.as_tensor(truth))
        hit += int((overlaps >= iou).any(dim=0).sum())
        total += len(truth)
    return hit / max(total, 1)
