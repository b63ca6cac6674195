"""Emergent zero-shot naming and retrieval with an embedder (ImageBind, sections 4.1 and B.4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..embedding.classifier import ZeroShot, read_labels
from ..embedding.vectors import Embedding
from ..errors import BindplugError
from .datasets import read_classified, read_pairs
from .metrics import mean_average_precision, recall_at, top_k


def evaluate_classes(
    embedder, data: str | Path, modality: str, labels: str | None = None, templates=None,
    fold: str | None = None, options: dict | None = None, progress: bool = False,
) -> tuple[dict, list[str]]:  # fmt: skip
    """Naming of labelled files by text, each class an average over templates.

    Args:
        data, sense: as in `read_classified`.
        labels: as in `read_labels`; None takes the classes of the data, "_" as a space.
        templates: as in `ZeroShot`.
        fold: only files of this fold.

    Returns:
        The figures, and messages for files that cannot be read (which are left out).

    Raises:
        BindplugError: data that cannot be read, a label that is not among `labels`, or no file.
    """
    items = [i for i in read_classified(data, modality) if fold is None or i.fold == fold]
    if not items:
        raise BindplugError(f"{data}: has no file of fold {fold!r}")
    found = sorted({name for i in items for name in i.labels})
    names = {n: [n.replace("_", " ")] for n in found} if labels is None else read_labels(labels)
    for name in found:
        if name not in names:
            raise BindplugError(f"{data}: the class {name!r} is not among the labels")
    classifier = ZeroShot(embedder, names, templates)
    embedding, good, errors = embed_good(
        embedder, modality, [i.path for i in items], options or {}, progress
    )
    truth = np.zeros((len(good), len(names)), bool)
    columns = {name: c for c, name in enumerate(classifier.labels)}
    for row, i in enumerate(good):
        truth[row, [columns[name] for name in items[i].labels]] = True
    scores = classifier.scores(embedding)
    figures = {
        "data": str(data), "sense": modality, "space": embedder.space,
        "files": len(good), "classes": len(names),
        "top-1": top_k(scores, truth, 1), "top-5": top_k(scores, truth, 5),
        "mAP": mean_average_precision(scores, truth),
        "chance": round(float(truth.sum(axis=1).mean() / len(names)), 4),
    }  # fmt: skip
    return figures, errors


def evaluate_pairs(
    embedder, data: str | Path, query: str, target: str, options: dict | None = None,
    progress: bool = False,
) -> tuple[dict, list[str]]:  # fmt: skip
    """Retrieval both ways between the two senses of a CSV; equal entries are one item.

    Returns:
        The figures, and messages for files that cannot be read (their pairs are left out).

    Raises:
        BindplugError: data that cannot be read, or no pair.
    """
    pairs = read_pairs(data, (query, target))
    sides, errors = [], []
    for i, modality in enumerate((query, target)):
        values = list(dict.fromkeys(p[i] for p in pairs))
        embedding, good, bad = embed_good(embedder, modality, values, options or {}, progress)
        sides.append((embedding, {values[v]: row for row, v in enumerate(good)}))
        errors += bad
    (queries, row_of), (targets, column_of) = sides
    truth = np.zeros((len(queries), len(targets)), bool)
    for a, b in pairs:
        if a in row_of and b in column_of:
            truth[row_of[a], column_of[b]] = True
    similarity = queries.vectors @ targets.vectors.T
    figures = {
        "data": str(data), "space": embedder.space,
        f"{query} items": len(queries), f"{target} items": len(targets),
    }  # fmt: skip
    both = (
        (f"{query} to {target}", similarity, truth),
        (f"{target} to {query}", similarity.T, truth.T),
    )
    for way, s, t in both:
        some = t.any(axis=1)
        for k in (1, 5, 10):
            figures[f"{way} R@{k}"] = recall_at(s[some], t[some], k)
    return figures, errors


def embed_good(
    embedder, modality: str, values: list[str], options: dict, progress: bool = False
) -> tuple[Embedding, list[int], list[str]]:
    """An Embedding of the inputs that can be read, their places, and messages for the others.

    Raises:
        BindplugError: none can be read.
    """
    from tqdm import tqdm

    from ..embedding.modalities import options_of

    vectors, good, errors = [], [], []
    rows = embedder.stream(modality, values, **options_of(modality, options))
    for row in tqdm(rows, modality, len(values), disable=None if progress else True, leave=False):
        if row.error:
            errors.append(str(row.error))
        else:
            vectors.append(row.vectors)
            good.append(row.index)
    if not good:
        raise BindplugError(errors[0])
    labels = tuple(values[i] for i in good)
    return Embedding(np.concatenate(vectors), embedder.space, modality, labels), good, errors
