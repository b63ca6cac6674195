"""Detections for other programs: COCO data sets, YOLO labels, Label Studio tasks.

They are made from entries of the JSON's `images`, as `Detections.to_dict`
gives and `detect --json` writes them.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from ..errors import BindplugError
from ..storage.atomic import make_folder, refuse_existing, write_file
from .results import coco_entries

FROM, TO = "label", "image"  # Label Studio's names of the boxes' control, and of what it labels
BRUSH = "brush"  # and of the masks' control
YOLO_HEAD = ("path: .", "train: images", "val: images")  # of data.yaml
SIZES = (3, 4, 8, 16)  # bits of the lengths in Label Studio's run-length code


def class_names(entries: Iterable[dict]) -> list[str]:
    """The name of each class id that was found; "class 3" for one that never was."""
    return _in_order({o["class_id"]: o["label"] for entry in entries for o in entry["objects"]})


def _in_order(known: dict[int, str]) -> list[str]:
    return [known.get(i, f"class {i}") for i in range(max(known, default=-1) + 1)]


def coco_dataset(entries: Iterable[dict]) -> dict:
    """A COCO data set (images, categories, annotations), whose annotations also bear scores. Ids
    count from 1; a category's is its class id + 1."""
    entries = list(entries)
    images, annotations = [], []
    for number, entry in enumerate(entries, 1):
        size = {"width": entry["width"], "height": entry["height"]}
        images.append({"id": number, "file_name": entry["image"], **size})
        for row in coco_entries(entry, number):
            area = row["bbox"][2] * row["bbox"][3]
            if "segmentation" in row:
                area = sum(row["segmentation"]["counts"][1::2])
            annotations.append({"id": len(annotations) + 1, "area": area, "iscrowd": 0, **row})
    names = class_names(entries)
    categories = [{"id": i, "name": name} for i, name in enumerate(names, 1)]
    return {"images": images, "categories": categories, "annotations": annotations}


def yolo_lines(entry: dict) -> list[str]:
    """One image's objects as YOLO's labels: class, centre x and y, width and height, as shares of
    the image."""
    width, height = entry["width"], entry["height"]
    out = []
    for found in entry["objects"]:
        x0, y0, x1, y1 = (found["box"][k] for k in ("xmin", "ymin", "xmax", "ymax"))
        shares = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height,
                  (x1 - x0) / width, (y1 - y0) / height)  # fmt: skip
        out.append(" ".join([str(found["class_id"]), *(f"{share:.6f}" for share in shares)]))
    return out


def yolo_text(entry: dict) -> str:
    """The file of `yolo_lines`."""
    return "".join(f"{line}\n" for line in yolo_lines(entry))


def _text(path: Path) -> str:
    """A file's text, "" where there is none."""
    return path.read_text("utf-8", "replace") if path.is_file() else ""


class YoloFolder:
    """A `labels` folder with a text file for each image, called after it, and `data.yaml` with the
    names of the classes; the images stay where they are.

    Args:
        images: names of all images that will be added.
        earlier: entries of a run that this one goes on with. Labels that hold the same as one of
            these, and a `data.yaml` of this form, are its own and may be replaced.

    Attributes:
        names: of class ids; those of the objects that are added join them.

    Raises FileExists: a file exists and `overwrite` is False; BindplugError: two images of one
    name, whose labels would be one file, or a folder that cannot be written."""

    def __init__(
        self, folder: str | Path, images: Iterable[str], overwrite: bool = False,
        earlier: Iterable[dict] | None = None,
    ):  # fmt: skip
        self.labels, self.head = Path(folder, "labels"), Path(folder, "data.yaml")
        self.names: dict[int, str] = {}
        stems = [Path(image).stem for image in images]
        if twice := next((s for s, count in Counter(stems).items() if count > 1), None):
            raise BindplugError(
                f"{twice}: two images of this name, by which YOLO finds labels; rename one"
            )
        own = set() if earlier is None else self._own(earlier)
        paths = [*(self._path(stem) for stem in stems), self.head]
        refuse_existing([path for path in paths if path not in own], overwrite)
        make_folder(self.labels)

    def _own(self, earlier: Iterable[dict]) -> set[Path]:
        """Files that a run of these entries wrote."""
        own = {self.head} if _text(self.head).startswith("\n".join(YOLO_HEAD)) else set()
        for entry in earlier:
            path = self._path(Path(entry["image"]).stem)
            if _text(path) == yolo_text(entry):
                own.add(path)
        return own

    def _path(self, stem: str) -> Path:
        return self.labels / f"{stem}.txt"

    def add(self, entry: dict) -> None:
        """Write the labels of one image."""
        self.names.update((found["class_id"], found["label"]) for found in entry["objects"])
        text = yolo_text(entry)
        write_file(self._path(Path(entry["image"]).stem), lambda f: f.write(text.encode()))

    def close(self) -> Path:
        """Write `data.yaml`, and give its path."""
        names = _in_order(self.names)
        # JSON strings are YAML, whatever is in them.
        lines = [*YOLO_HEAD, f"nc: {len(names)}", "names:"]
        lines += [f"  {i}: {json.dumps(name)}" for i, name in enumerate(names)]
        text = "\n".join(lines) + "\n"
        write_file(self.head, lambda f: f.write(text.encode()))
        return self.head


def write_yolo(entries: Iterable[dict], folder: str | Path, overwrite: bool = False) -> Path:
    """Write a `YoloFolder`; errors as there.

    Returns:
        The path of `data.yaml`, which is written last."""
    entries = list(entries)
    out = YoloFolder(folder, [entry["image"] for entry in entries], overwrite)
    for entry in entries:
        out.add(entry)
    return out.close()


def label_studio_task(entry: dict, model: str = "bindplug") -> dict:
    """One image as a Label Studio task with a prediction: a rectangle for each object, and a brush
    stroke for each mask.

    Args:
        model: what the prediction is called after.
    """
    size = {"original_width": entry["width"], "original_height": entry["height"],
            "image_rotation": 0}  # fmt: skip
    results = []
    for number, found in enumerate(entry["objects"]):
        x0, y0, x1, y1 = (found["box"][k] for k in ("xmin", "ymin", "xmax", "ymax"))
        box = {"x": 100 * x0 / entry["width"], "y": 100 * y0 / entry["height"],
               "width": 100 * (x1 - x0) / entry["width"],
               "height": 100 * (y1 - y0) / entry["height"], "rotation": 0}  # fmt: skip
        about = {"to_name": TO, "score": found["score"], **size}
        results.append({
            "id": f"box{number}", "type": "rectanglelabels", "from_name": FROM,
            "value": {**box, "rectanglelabels": [found["label"]]}, **about,
        })  # fmt: skip
        if "mask" in found:
            rle = brush_code(found["mask"])
            results.append({
                "id": f"mask{number}", "type": "brushlabels", "from_name": BRUSH,
                "value": {"format": "rle", "rle": rle, "brushlabels": [found["label"]]}, **about,
            })  # fmt: skip
    scores = [found["score"] for found in entry["objects"]]
    prediction = {"model_version": model, "score": max(scores, default=0.0), "result": results}
    return {"data": {"image": entry["image"]}, "predictions": [prediction]}


def label_studio_config(names: Iterable[str], masks: bool = True) -> str:
    """The labelling interface (XML) that tasks of `label_studio_task` fit."""
    labels = "".join(f"<Label value={quoteattr(name)}/>" for name in names)
    boxes = f'<RectangleLabels name="{FROM}" toName="{TO}">{labels}</RectangleLabels>'
    brush = f'<BrushLabels name="{BRUSH}" toName="{TO}">{labels}</BrushLabels>' if masks else ""
    return f'<View><Image name="{TO}" value="$image"/>{boxes}{brush}</View>'


def brush_code(mask: dict) -> list[int]:
    """COCO's uncompressed run lengths (column-major) as Label Studio's run-length code of the
    flattened (H, W, 4) RGBA image, 255 inside and 0 outside: a list of bytes.

    The code is a string of bits: 32 of the number of values, 5 of a value's bits - 1, four times 4
    of a length's bits - 1; then for each run a 1, 2 that choose the length's bits, length - 1, and
    the value."""
    counts = mask["counts"]
    flat = np.repeat(np.arange(len(counts)) % 2, counts).astype(np.int8)
    rows = flat.reshape(mask["size"], order="F").ravel()
    edges = np.flatnonzero(np.diff(rows)) + 1
    starts = [0, *edges.tolist()]
    lengths = np.diff([*starts, rows.size]) * 4
    bits = [f"{rows.size * 4:032b}", f"{7:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    for start, length in zip(starts, lengths.tolist(), strict=True):
        value = f"{255 * int(rows[start]):08b}"
        while length:
            part = min(length, 1 << SIZES[-1])
            choice = next(i for i, size in enumerate(SIZES) if part <= 1 << size)
            bits.append(f"1{choice:02b}{part - 1:0{SIZES[choice]}b}{value}")
            length -= part
    text = "".join(bits)
    text = text.ljust(8 * math.ceil(len(text) / 8), "0")
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]
