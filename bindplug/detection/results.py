"""The objects found in an image, and how they are written: overlay PNG, JSON, COCO results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from ..embedding.inputs import caption
from ..errors import MissingDependency
from ..storage.atomic import make_folder, refuse_existing, write_file, write_json

SCHEMA = 1
OVERLAY = ("Software", "bindplug detect")  # text of overlays' PNG files


@dataclass(eq=False)
class Detections:
    """N objects in one image, best first: `found[0]` and `for one in found` give Detections of one
    object each. Equal content compares equal; the pixels of `picture` do not count.

    Attributes:
        boxes: (N, 4) float32 xyxy, pixels of the image.
        scores: (N,) float32 in [0, 1].
        class_ids: (N,) int64, rows of the prompt embedding.
        masks: (N, H, W) bool, or None.
        height, width: of the image, pixels.
        names: one for each row of the prompt embedding; `labels` gives each object's.
        image: path of the image, or "image".
        picture: the PIL image, for the overlay; None draws on white.
        metadata: model, detector, bridge and, where it is known, `made_from`, for the JSON.
        sha256: of the image's file, hex, where it is known.
    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    masks: np.ndarray | None
    height: int
    width: int
    names: tuple[str, ...] = ()
    image: str = "image"
    picture: object = field(default=None, compare=False)
    metadata: dict = field(default_factory=dict)
    sha256: str | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[Detections]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other) -> bool:
        if not isinstance(other, Detections):
            return NotImplemented
        names = [f.name for f in fields(self) if f.compare]
        return all(np.array_equal(getattr(self, n), getattr(other, n)) for n in names)

    def __hash__(self) -> int:
        first = (self.boxes[:1] + 0.0).tobytes()  # -0.0 equals 0.0
        return hash((len(self), first, self.height, self.width, self.image))

    @property
    def labels(self) -> list[str]:
        """For each object the name of the prompt row that it was found by."""
        return [self.names[i] if self.names else str(i) for i in self.class_ids]

    def __getitem__(self, rows) -> Detections:
        """The objects at an index (IndexError beyond N), index array, boolean mask or slice."""
        if isinstance(rows, (int, np.integer)):
            rows = [range(len(self))[rows]]
        masks = None if self.masks is None else self.masks[rows]
        scores, ids = self.scores[rows], self.class_ids[rows]
        return replace(self, boxes=self.boxes[rows], scores=scores, class_ids=ids, masks=masks)

    def to_dict(self) -> dict:
        """One entry of `images` in the JSON: boxes in pixels to two decimals, masks as uncompressed
        COCO run lengths."""
        objects = []
        for i, label in enumerate(self.labels):
            score, box = round(float(self.scores[i]), 4), box_record(self.boxes[i])
            entry = {"label": caption(label), "query": label, "class_id": int(self.class_ids[i]),
                     "score": score, "box": box}  # fmt: skip
            if self.masks is not None:
                entry["mask"] = run_lengths(self.masks[i])
            objects.append(entry)
        known = {} if self.sha256 is None else {"sha256": self.sha256}
        size = {"width": self.width, "height": self.height}
        return {"image": self.image, **known, **size, "objects": objects}

    def overlay(self):
        """The image with masks, boxes and labels drawn on it (PIL, RGB)."""
        from .drawing import overlay

        return overlay(self)

    def to_supervision(self):
        """As supervision's Detections: boxes, masks, scores, class ids, and `class_name` in `data`.
        Raises MissingDependency: supervision is not installed."""
        try:
            import supervision
        except ImportError as err:
            words = "to_supervision needs supervision; run: pip install supervision"
            raise MissingDependency(words) from err
        names = np.array([caption(label) for label in self.labels], dtype=str)
        return supervision.Detections(
            xyxy=np.asarray(self.boxes, np.float32).reshape(-1, 4), mask=self.masks,
            confidence=self.scores, class_id=self.class_ids, data={"class_name": names},
        )  # fmt: skip

    def save(
        self, folder: str | Path, overwrite: bool = False, stem: str | None = None,
        overlay: bool = True,
    ) -> list[Path]:  # fmt: skip
        """Write `<stem>.png` (the overlay) and `<stem>.json` to a folder, each by rename.

        Args:
            stem: None takes that of the image's file.
            overlay: False writes the JSON alone.

        Returns:
            The paths written; the JSON is the last, so that where it exists, both do.

        Raises FileExists: the folder holds these files and `overwrite` is False; BindplugError: the
        folder cannot be written."""
        stem, folder = stem or Path(self.image).stem or "image", make_folder(folder)
        paths = result_paths(folder, stem, overlay)
        refuse_existing(paths, overwrite)
        paths[-1].unlink(missing_ok=True)  # not the old JSON beside the new overlay
        if overlay:
            image = self.overlay()
            from PIL.PngImagePlugin import PngInfo

            info = PngInfo()
            info.add_text(*OVERLAY)
            write_file(paths[0], lambda f: image.save(f, format="PNG", pnginfo=info))
        write_json(paths[-1], document([self]))
        return paths


def is_overlay(path: Path) -> bool:
    """Whether `Detections.save` wrote a PNG."""
    from PIL import Image

    key, value = OVERLAY
    try:
        with Image.open(path) as image:
            return image.info.get(key) == value
    except (OSError, ValueError, Image.DecompressionBombError):
        return False


def result_paths(folder: Path, stem: str, overlay: bool = True) -> list[Path]:
    """The files that `Detections.save` writes."""
    return [folder / f"{stem}{e}" for e in ((".png", ".json") if overlay else (".json",))]


def best_regions(
    boxes, scores, size: tuple[int, int], score_threshold: float, max_detections: int
) -> Detections:
    """The regions of an image with the highest scores, each of its best prompt; without masks.

    Args:
        boxes: (n, 4) xyxy pixels, a tensor; regions without area are left out.
        scores: (n, C), a tensor.
        size: width and height of the image.
    """
    best, ids = scores.cpu().max(dim=1)
    order = best.argsort(descending=True, stable=True)
    order = order[best[order] > score_threshold][:max_detections]
    boxes = boxes[order]
    solid = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    found, scores, ids = (x[solid].numpy() for x in (boxes, best[order], ids[order]))
    return Detections(found, scores, ids, None, size[1], size[0])


def box_record(box: np.ndarray) -> dict[str, float]:
    """A (4,) xyxy box as JSON, to two decimals."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    return {side: round(float(v), 2) for side, v in zip(sides, box, strict=True)}


def run_lengths(mask: np.ndarray) -> dict:
    """(H, W) bool to COCO's uncompressed run lengths, column-major, zeros first."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    counts = np.diff(edges, prepend=0, append=flat.size)
    return {"size": list(mask.shape), "counts": counts.tolist()}


def document(results: Iterable[Detections]) -> dict:
    """The JSON of `bindplug detect`, of results that were made from the same."""
    results = list(results)
    head = document_head(results[0].metadata if results else {})
    return {**head, "images": [r.to_dict() for r in results]}


def document_head(metadata: dict) -> dict:
    """What JSON says before its images or tracks: the schema, model, detector and bridge, and
    `made_from` (prompts, fingerprints and settings) where it is known."""
    head = {key: metadata.get(key) for key in ("model", "detector", "bridge", "competition")}
    known = {"made_from": metadata["made_from"]} if "made_from" in metadata else {}
    return {"schema": SCHEMA, **head, **known}


def coco_results(results: Iterable[Detections]) -> list[dict]:
    """COCO's results list; image ids count from 1 in order, category ids are class id + 1."""
    images = (found.to_dict() for found in results)
    return [row for number, image in enumerate(images, 1) for row in coco_entries(image, number)]


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
