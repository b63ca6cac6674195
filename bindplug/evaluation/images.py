"""Generated images, judged by another model than the one that conditioned them."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..errors import BindplugError
from ..models.registry import plugin
from .datasets import Item, read_classified
from .metrics import rounded
from .zero_shot import class_figures, embed_items, read_classes

FINGERPRINTS = ("fingerprint", "embedder_fingerprint")  # in the recipe of a generated image


def evaluate_images(
    judge, data: str | Path, references: str | Path | None = None,
    sounds: str | Path | None = None, labels: str | None = None, templates=None,
    circular: bool = False, progress: bool = False, judge_name: str = "",
) -> tuple[dict, list[str]]:  # fmt: skip
    """Accuracy, similarity and diversity of generated images.

    Args:
        judge: an embedder of images and text; with `sounds`, of audio too.
        data: images by class, as in `read_classified`. A JSON beside an image that names the judge
            as what conditioned it (its `model`, `space` or `fingerprint`) is an error unless
            `circular`: the agreement of a model with itself is no evidence.
        references: real images of the same classes, for the similarity between images.
        sounds: sounds of the same classes, for the similarity of images to sounds.
        labels, templates: as in `evaluate_classes`.
        judge_name: the name that the judge was loaded by, if any.

    Returns:
        The figures, and messages for files that cannot be read. `... own` is the mean cosine
        between inputs of the same class, `... other` of different classes (None where there is one
        class only); `diversity` is one minus the mean cosine between the images of one class.

    Raises BindplugError: no data, a judge that conditioned the images, or that lacks a modality."""
    items = read_classified(data, "image")
    if not circular:
        _refuse_own(judge, judge_name, items)
    names = read_classes(items, labels, data)
    images, items, errors = embed_items(judge, "image", items, {}, progress)
    figures = class_figures(judge, images, items, names, templates)
    figures = {"data": str(data), "modality": "image", "judge": judge.space, **figures}
    classes = np.array([item.labels[0] for item in items])
    for name, other, modality in (("image", references, "image"), ("sound", sounds, "audio")):
        if other is None:
            continue
        if modality not in judge.modalities:
            raise BindplugError(f"the judge {judge.space!r} does not embed {modality}")
        theirs = read_classified(other, modality)
        found, theirs, bad = embed_items(judge, modality, theirs, {}, progress)
        errors += bad
        same = classes[:, None] == np.array([item.labels[0] for item in theirs])
        if not same.any():
            raise BindplugError(f"{other}: has none of the classes of {data}")
        cosines = images.vectors @ found.vectors.T
        figures[f"{name} similarity, own"] = _mean(cosines[same])
        figures[f"{name} similarity, other"] = _mean(cosines[~same])
    cosines = images.vectors @ images.vectors.T
    pairs = (classes[:, None] == classes[None]) & ~np.eye(len(classes), dtype=bool)
    if pairs.any():
        figures["diversity"] = _mean(1 - cosines[pairs])
    return figures, errors


def _mean(values: np.ndarray) -> float | None:
    return rounded(values.mean()) if values.size else None


def _refuse_own(judge, name: str, items: list[Item]) -> None:
    """Raises BindplugError: the recipe beside an image names the judge."""
    own = {name, judge.space, *getattr(judge, "fingerprint", "").split()[:1]} - {""}
    for item in items:
        try:
            recipe = json.loads(Path(item.path).with_suffix(".json").read_text("utf-8-sig"))
            given = [str(recipe[key]) for key in ("model", "space") if recipe.get(key)]
            weights = [str(recipe[key]) for key in FINGERPRINTS if recipe.get(key)]
        except (OSError, ValueError, RecursionError, AttributeError):  # no recipe
            continue
        given += [w.split()[0] for w in weights]  # the precision follows
        with suppress(BindplugError):  # no installed embedder
            given += [plugin("bindplug.embedders", model).space for model in given[:1]]
        if own & set(given):
            raise BindplugError(
                f"{item.path}: was conditioned by {given[0]!r}, which cannot judge itself; choose "
                "another --judge, or --circular"
            )
