"""COCO average precision (pycocotools) and class-agnostic recall of boxes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from ..detection.results import Detections, box_iou, coco_results
from ..errors import MissingDependency


def average_precision(
    found: Sequence[Detections], boxes: Sequence[np.ndarray], labels: Sequence[np.ndarray]
) -> dict[str, float]:
    """COCO's AP and AP50 of boxes, in [0, 1], over the classes that occur in the truth.

    Args:
        found: detections of each picture; class ids as in `labels`.
        boxes, labels: the truth of each picture, (n, 4) xyxy pixels and (n,) class ids.

    Raises:
        MissingDependency: pycocotools is not installed.
    """
    classes = sorted({int(c) + 1 for row in labels for c in row})
    annotations = []
    for image_id, (rows, ids) in enumerate(zip(boxes, labels, strict=True), start=1):
        for (x0, y0, x1, y1), c in zip(rows.tolist(), ids.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(c) + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
    results = [{k: v for k, v in r.items() if k != "segmentation"} for r in coco_results(found)]
    truth = {
        "info": {},
        "images": [{"id": i + 1} for i in range(len(found))],
        "categories": [{"id": c, "name": str(c)} for c in classes],
        "annotations": annotations,
    }
    return coco_figures(truth, results)


def coco_figures(truth: dict, results: list[dict]) -> dict[str, float]:
    """AP, AP50, AP75 and AR (100 boxes a picture) of COCO results, in [0, 1].

    Args:
        truth: a COCO annotation file's content.
        results: COCO's results list; what is there of `segmentation` is not looked at.

    Raises:
        MissingDependency: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as err:
        raise MissingDependency(
            "pycocotools is not installed; run: pip install pycocotools"
        ) from err
    if not results:
        return dict.fromkeys(("AP", "AP50", "AP75", "AR"), 0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        own = COCO()
        own.dataset = {"info": {}, **truth}
        own.createIndex()
        score = COCOeval(own, own.loadRes(results), "bbox")
        score.evaluate()
        score.accumulate()
        score.summarize()
    return {name: float(score.stats[i]) for name, i in
            (("AP", 0), ("AP50", 1), ("AP75", 2), ("AR", 8))}  # fmt: skip


def proposal_recall(
    proposals: Sequence[np.ndarray], boxes: Sequence[np.ndarray], iou: float = 0.5
) -> float:
    """Share of true boxes that some proposal of the same picture overlaps by `iou` at least."""
    hit = total = 0
    for rows, truth in zip(proposals, boxes, strict=True):
        hit += int((box_iou(rows, truth).max(0, initial=0) >= iou).sum())
        total += len(truth)
    return hit / max(total, 1)
