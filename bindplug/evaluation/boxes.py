"""COCO-format boxes with a sound for each category: AP, AP50, AP75 and AR."""

import json
from pathlib import Path

from tqdm import tqdm

from ..detection.detector import Finder
from ..detection.results import coco_entries
from ..embedding.modalities import MODALITIES
from ..embedding.vectors import concatenate
from ..errors import BindplugError
from ..storage.text_file import read_text
from .detection import coco_figures, complete

MIN_SCORE = 0.02  # as in Detic's own evaluation


def evaluate_boxes(
    detector, embedder, annotations: str | Path, images: str | Path | None = None,
    sounds: str | Path | None = None, progress: bool = False, **options,
) -> tuple[dict, list[BindplugError]]:  # fmt: skip
    """Detect each category's objects in all images by the category's sound.

    Args:
        annotations: a COCO JSON; what it may lack is said in `bindplug.evaluation.detection`. A
            category's sound is its field `sound` (a path beside the JSON), or the file of `sounds`
            that bears its name.
        images: the folder that `file_name` starts from; None takes the JSON's own.
        sounds: a folder of sounds, or of videos with sound.
        options: as in `PromptedDetector.detect`, without threshold and top_k.

    Returns:
        AP, AP50, AP75, AR in [0, 1] (None where the truth has no box that counts), the numbers of
        images and categories, and what could not be read; images that could not count as if
        nothing was found.

    Raises BindplugError: no COCO file, an image without `file_name`, no category, or a category
    without a sound that can be read; MissingDependency: pycocotools is not installed."""
    path = Path(annotations)
    truth = read_coco(path)
    root = path.parent if images is None else Path(images)
    categories = sorted(truth["categories"], key=lambda c: str(c["id"]))
    prompts = [embedder.embed(audio=str(_sound(c, path, sounds))) for c in categories]
    options |= {"threshold": MIN_SCORE, "top_k": 100, "masks": False}
    groups = [[i] for i in range(len(prompts))]  # a box may be of several categories,
    if options.get("competition") == "prompts":  # but where they compete
        prompts, groups = [concatenate(prompts)], [list(range(len(prompts)))]
    finders = [Finder(detector, prompt, **options) for prompt in prompts]
    results, errors = [], []
    for image in tqdm(truth["images"], disable=not progress, unit="image", desc="detect"):
        try:
            features = detector.features(str(root / image["file_name"]))
        except BindplugError as err:
            errors.append(err)
            continue
        for finder, ids in zip(finders, groups, strict=True):
            for row in coco_entries(finder(features).to_dict(), image["id"]):
                row["category_id"] = categories[ids[row["category_id"] - 1]]["id"]
                results.append(row)
    figures = coco_figures(truth, results, str(path))
    metadata = {"images": len(truth["images"]), "categories": len(categories)}
    return {**figures, **metadata, **finders[0].query.metadata}, errors


def read_coco(path: Path) -> dict:
    """A COCO file with the defaults of `complete`, and what `evaluate_boxes` needs besides.
    Raises BindplugError: no COCO file, no category, or an image without `file_name`."""
    try:
        truth = json.loads(read_text(path))
    except (ValueError, RecursionError) as err:
        raise BindplugError(f"{path}: is not JSON: {err}") from err
    truth = complete(truth, str(path))
    if not truth["categories"]:
        raise BindplugError(f"{path}: has no categories, so there is nothing to search for")
    for number, image in enumerate(truth["images"], 1):
        if not isinstance(image.get("file_name"), str) or not image["file_name"]:
            raise BindplugError(f"{path}: entry {number} of images has no file_name")
    return truth


def _sound(category: dict, path: Path, sounds: str | Path | None) -> Path:
    endings = (*MODALITIES["audio"].endings, *MODALITIES["video"].endings)
    for file in sorted(Path(sounds).glob("*")) if sounds is not None else ():
        if file.stem == category["name"] and file.suffix.lower() in endings:
            return file
    if isinstance(category.get("sound"), str) and category["sound"]:
        return path.parent / category["sound"]
    raise BindplugError(
        f"category {category['name']!r} has no sound; name one in its field `sound`, or give "
        f"--sounds with a file {category['name']}.wav"
    )
