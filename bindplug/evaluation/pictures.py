"""Generated pictures, judged by another model than the one that conditioned them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..errors import BindplugError
from .datasets import Item, read_classified
from .zero_shot import embed_good, evaluate_classes


def evaluate_pictures(
    judge,
    data: str | Path,
    references: str | Path | None = None,
    sounds: str | Path | None = None,
    labels: str | None = None,
    templates=None,
    circular: bool = False,
    progress: bool = False,
) -> tuple[dict, list[str]]:
    """Accuracy, similarity and diversity of generated pictures.

    Args:
        judge: an embedder of pictures and text; with `sounds`, of those too.
        data: pictures by class, as in `read_classified`. A JSON beside a picture that names the
            judge as what conditioned it is an error, unless `circular`: scoring a model with
            itself says little.
        references: real pictures of the same classes, for the similarity of pictures to pictures.
        sounds: sounds of the same classes, for that of pictures to sounds.
        labels, templates: as in `evaluate_classes`.

    Returns:
        The figures, and messages for files that cannot be read. `... own` is the mean cosine to
        what is of the same class, `... other` to what is not; `diversity` is one minus the mean
        cosine between pictures of one class.

    Raises:
        BindplugError: no data, a judge that conditioned the pictures, or that lacks a sense.
    """
    items = read_classified(data, "image")
    if not circular:
        _refuse_own(judge, items)
    figures, errors = evaluate_classes(judge, data, "image", labels, templates, progress=progress)
    figures["judge"] = figures.pop("space")
    pictures, classes, _ = _embed(judge, items, "image", progress)
    for name, other, modality in (("picture", references, "image"), ("sound", sounds, "audio")):
        if other is None:
            continue
        if modality not in judge.modalities:
            raise BindplugError(f"the judge {judge.space!r} does not embed {modality}")
        found, theirs, bad = _embed(judge, read_classified(other, modality), modality, progress)
        errors += bad
        same = classes[:, None] == theirs[None]
        if not same.any():
            raise BindplugError(f"{other}: has none of the classes of {data}")
        cosines = pictures.vectors @ found.vectors.T
        figures[f"{name} similarity, own"] = round(float(cosines[same].mean()), 4)
        figures[f"{name} similarity, other"] = round(float(cosines[~same].mean()), 4)
    cosines = pictures.vectors @ pictures.vectors.T
    pairs = (classes[:, None] == classes[None]) & ~np.eye(len(classes), dtype=bool)
    if pairs.any():
        figures["diversity"] = round(1 - float(cosines[pairs].mean()), 4)
    return figures, errors


def _embed(judge, items: list[Item], modality: str, progress: bool):
    found, good, errors = embed_good(judge, modality, [i.path for i in items], {}, progress)
    return found, np.array([items[i].labels[0] for i in good]), errors


def _refuse_own(judge, items: list[Item]) -> None:
    for item in items:
        beside = Path(item.path).with_suffix(".json")
        try:
            model = json.loads(beside.read_text())["model"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if model == judge.space:
            raise BindplugError(
                f"{item.path}: was conditioned by {model!r}, which cannot judge itself; choose "
                "another --judge, or --circular"
            )
