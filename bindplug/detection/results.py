"""What a detector finds, and how it is written: overlay PNG, JSON, COCO results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..embedding.inputs import caption
from ..storage.atomic import make_folder, refuse_existing, write_file, write_json

SCHEMA = 1


@dataclass
class Detections:
    """Objects on one picture, best first.

    Attributes:
        boxes: (N, 4) float32 xyxy in pixels of the picture.
        scores: (N,) float32 in [0, 1].
        class_ids: (N,) int64, rows of the prompt.
        masks: (N, H, W) bool, or None.
        height, width: of the picture, pixels.
        names: one for each prompt row; `labels` gives each object's.
        image: where the picture came from (a path, or "image").
        picture: the PIL picture, for the overlay.
        about: model, detector and bridge, for the JSON.
    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    masks: np.ndarray | None
    height: int
    width: int
    names: tuple[str, ...] = ()
    image: str = "image"
    picture: object = None
    metadata: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def labels(self) -> list[str]:
        """The prompt that each object answers."""
        return [self.names[i] if self.names else str(i) for i in self.class_ids]

    def __getitem__(self, rows) -> Detections:
        """The objects at an index array, boolean mask or slice."""
        return replace(
            self,
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            class_ids=self.class_ids[rows],
            masks=None if self.masks is None else self.masks[rows],
        )

    def to_dict(self) -> dict:
        """One entry of `images` in the JSON; masks are uncompressed COCO run lengths."""
        objects = []
        for i, label in enumerate(self.labels):
            x0, y0, x1, y1 = (round(float(v), 2) for v in self.boxes[i])
            entry = {
                "label": caption(label),
                "query": label,
                "class_id": int(self.class_ids[i]),
                "score": round(float(self.scores[i]), 4),
                "box": {"xmin": x0, "ymin": y0, "xmax": x1, "ymax": y1},
            }
            if self.masks is not None:
                entry["mask"] = run_lengths(self.masks[i])
            objects.append(entry)
        return {
            "image": self.image,
            "width": self.width,
            "height": self.height,
            "objects": objects,
        }

    def overlay(self):
        """The picture with masks, boxes and labels drawn on it (PIL)."""
        from .drawing import overlay

        return overlay(self)

    def save(self, folder: str | Path, overwrite: bool = False) -> list[Path]:
        """Write `<picture>.png` (overlay) and `<picture>.json` to a folder, each by rename.

        Returns:
            The paths written.

        Raises:
            BindplugError: the folder cannot be written, or holds these files and `overwrite` is
                False.
        """
        stem = Path(self.image).stem or "image"
        folder = make_folder(folder)
        png, js = folder / f"{stem}.png", folder / f"{stem}.json"
        refuse_existing([png, js], overwrite)
        picture = self.overlay()
        write_file(png, lambda f: picture.save(f, format="PNG"))
        write_json(js, document([self]))
        return [png, js]


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) overlap of (n, 4) and (m, 4) xyxy boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(-1)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b))
    return inter / np.maximum(area_a[:, None] + area_b[None] - inter, 1e-9)


def run_lengths(mask: np.ndarray) -> dict:
    """(H, W) bool to COCO's uncompressed run lengths, column-major, zeros first."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]]))
    if flat.size and flat[0]:
        counts = np.concatenate([[0], counts])
    return {"size": list(mask.shape), "counts": counts.tolist()}


def document(results: Iterable[Detections]) -> dict:
    """The JSON of `bindplug detect`."""
    results = list(results)
    return {
        **document_head(results[0].metadata if results else {}),
        "images": [r.to_dict() for r in results],
    }


def document_head(metadata: dict) -> dict:
    """What the JSON of `bindplug detect` says before its images."""
    keys = ("model", "detector", "bridge", "competition")
    return {"schema": SCHEMA, **{key: metadata.get(key) for key in keys}}


def coco_results(results: Iterable[Detections]) -> list[dict]:
    """COCO's results list; image ids count from 1 in order, category ids are class id + 1."""
    return [
        entry
        for image_id, found in enumerate(results, start=1)
        for entry in coco_entries(found.to_dict(), image_id)
    ]


def coco_entries(image: dict, image_id: int) -> Iterator[dict]:
    """One image's entries of COCO's results, from its entry in the JSON."""
    for found in image["objects"]:
        x0, y0, x1, y1 = (found["box"][k] for k in ("xmin", "ymin", "xmax", "ymax"))
        entry = {
            "image_id": image_id,
            "category_id": found["class_id"] + 1,
            "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)],
            "score": found["score"],
        }
        if "mask" in found:
            entry["segmentation"] = found["mask"]
        yield entry
