"""COCO-format boxes with a sound for each category: AP, AP50, AP75 and AR."""

from __future__ import annotations

import json
from pathlib import Path

from tqdm import tqdm

from ..detection.detector import Finder
from ..detection.results import coco_entries
from ..embedding.inputs import MEDIA_ENDINGS
from ..embedding.vectors import Embedding
from ..errors import BindplugError
from .detection import coco_figures

LEAST = 0.02  # score, as in Detic's own evaluation


def evaluate_boxes(
    detector,
    embedder,
    annotations: str | Path,
    images: str | Path | None = None,
    sounds: str | Path | None = None,
    progress: bool = False,
    **options,
) -> tuple[dict, list[BindplugError]]:
    """Let each category's sound find its objects on all pictures.

    Args:
        annotations: a COCO JSON. A category's sound is its field `sound` (a path beside the JSON),
            or the file of `sounds` that bears its name.
        images: the folder that `file_name` starts from; None takes the JSON's own.
        sounds: a folder.
        options: as in `PromptedDetector.detect`, without threshold and top_k.

    Returns:
        AP, AP50, AP75, AR in [0, 1], the numbers of pictures and categories, and what could not
        be read; pictures that could not count as if nothing was found.

    Raises:
        BindplugError: no COCO file, or a category without a sound that can be read.
    """
    path = Path(annotations)
    truth = _read(path)
    root = path.parent if images is None else Path(images)
    categories = sorted(truth["categories"], key=lambda c: c["id"])
    heard = [embedder.embed(audio=str(_sound(c, path, sounds))) for c in categories]
    finders = _finders(detector, heard, options)
    results, errors = [], []
    for image in tqdm(truth["images"], disable=not progress, unit="picture", desc="detect"):
        try:
            seen = detector.features(str(root / image["file_name"]))
        except BindplugError as err:
            errors.append(err)
            continue
        for finder, ids in finders:
            for row in coco_entries(finder(seen).to_dict(), image["id"]):
                row["category_id"] = categories[ids[row["category_id"] - 1]]["id"]
                results.append(row)
    figures = coco_figures(truth, results)
    metadata = {"pictures": len(truth["images"]), "categories": len(categories)}
    return {**figures, **metadata, **finders[0][0].query.metadata}, errors


def _finders(detector, heard: list[Embedding], options: dict) -> list[tuple[Finder, list[int]]]:
    """Each category by itself, so that a box may be several things; all at once where prompts
    stand against one another."""
    from ..embedding.vectors import concatenate

    asked = {**options, "threshold": LEAST, "top_k": 100, "masks": False}
    if options.get("competition") == "prompts":
        return [(Finder(detector, concatenate(heard), **asked), list(range(len(heard))))]
    return [(Finder(detector, row, **asked), [i]) for i, row in enumerate(heard)]


def _read(path: Path) -> dict:
    try:
        truth = json.loads(path.read_text())
        if all(isinstance(truth[key], list) for key in ("images", "annotations", "categories")):
            return truth
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise BindplugError(f"{path}: is no COCO file with images, annotations and categories")


def _sound(category: dict, path: Path, sounds: str | Path | None) -> Path:
    if sounds is not None:
        found = sorted(
            p for p in Path(sounds).glob("*")
            if p.stem == category["name"] and p.suffix.lower() in MEDIA_ENDINGS
        )  # fmt: skip
        if found:
            return found[0]
    if category.get("sound"):
        return path.parent / category["sound"]
    raise BindplugError(
        f"category {category['name']!r} has no sound; name one in its field `sound`, or give "
        f"--sounds with a file {category['name']}.wav"
    )
