"""Zero-shot classification and retrieval with an embedder (ImageBind, sections 4.1 and B.4)."""

from pathlib import Path

import numpy as np

from ..embedding.classifier import ZeroShot, read_labels
from ..embedding.vectors import Embedding
from ..errors import BindplugError
from .datasets import Item, read_classified, read_pairs
from .metrics import mean_average_precision, retrieval, top_k


def evaluate_classes(
    embedder, data: str | Path, modality: str, labels: str | None = None, templates=None,
    fold: str | None = None, options: dict | None = None, progress: bool = False,
) -> tuple[dict, list[str]]:  # fmt: skip
    """Classify labelled files by text: each class is an average over templates.

    Args:
        data, modality: as in `read_classified`.
        labels: as in `read_labels`; None takes the classes of the data, "_" as a space.
        templates: as in `ZeroShot`.
        fold: only files of this fold.
        options: of the modality's transform, as in `Embedder.embed`.

    Returns:
        The figures (shares in [0, 1] as in `bindplug.evaluation.metrics`), and messages for files
        that cannot be read, which are left out.

    Raises BindplugError: data that cannot be read, a label that is not among `labels`, or no
    file."""
    items = [i for i in read_classified(data, modality) if fold is None or i.fold == fold]
    if not items:
        raise BindplugError(f"{data}: has no file of fold {fold!r}")
    names = read_classes(items, labels, data)
    embedding, items, errors = embed_items(embedder, modality, items, options or {}, progress)
    figures = class_figures(embedder, embedding, items, names, templates)
    head = {"data": str(data), "modality": modality, "space": embedder.space}
    return {**head, **figures}, errors


def embed_items(
    embedder, modality: str, items: list[Item], options: dict, progress: bool
) -> tuple[Embedding, list[Item], list[BindplugError]]:
    """An embedding of the items that can be read, those items, and the errors of others."""
    paths = [item.path for item in items]
    embedding, readable, errors = embed_good(embedder, modality, paths, options, progress)
    return embedding, [items[i] for i in readable], errors


def read_classes(items: list[Item], labels: str | None, data) -> dict[str, list[str]]:
    """The classes and the names of each, as `ZeroShot` takes them: `labels`, or the data's own.
    Raises BindplugError: a class of the data that is not among `labels`."""
    found = sorted({name for i in items for name in i.labels})
    names = {n: [n.replace("_", " ")] for n in found} if labels is None else read_labels(labels)
    if strange := [name for name in found if name not in names]:
        raise BindplugError(f"{data}: the class {strange[0]!r} is not among the labels")
    return names


def class_figures(
    embedder, embedding: Embedding, items: list[Item], names: dict[str, list[str]], templates=None
) -> dict:
    """top-1, top-5, mAP and chance of the (N, D) embedding of N items, by `ZeroShot`."""
    classifier = ZeroShot(embedder, names, templates)
    columns = {name: c for c, name in enumerate(classifier.labels)}
    truth = np.zeros((len(items), len(names)), bool)
    for row, item in enumerate(items):
        truth[row, [columns[name] for name in item.labels]] = True
    scores = classifier.scores(embedding)
    return {
        "files": len(items), "classes": len(names),
        "top-1": top_k(scores, truth, 1), "top-5": top_k(scores, truth, 5),
        "mAP": mean_average_precision(scores, truth),
        "chance": round(float(truth.sum(axis=1).mean() / len(names)), 4),
    }  # fmt: skip


def evaluate_pairs(
    embedder, data: str | Path, query: str, target: str, options: dict | None = None,
    progress: bool = False,
) -> tuple[dict, list[str]]:  # fmt: skip
    """Retrieval in both directions between two modalities of a CSV; equal entries are one item.

    Args:
        data: as in `read_pairs`.
        query, target: its two columns.

    Returns:
        R@1, R@5 and R@10 each way (as in `bindplug.evaluation.metrics`), and messages for files
        that cannot be read, whose pairs are left out.

    Raises BindplugError: one modality twice, data that cannot be read, or no pair that can be."""
    if query == target:
        raise BindplugError(f"retrieval needs two modalities, and {query} was given twice")
    pairs = read_pairs(data, (query, target))
    sides, errors = [], []
    for i, modality in enumerate((query, target)):
        values = list(dict.fromkeys(p[i] for p in pairs))
        embedding, readable, bad = embed_good(embedder, modality, values, options or {}, progress)
        sides.append((embedding, {values[v]: row for row, v in enumerate(readable)}))
        errors += bad
    (queries, row_of), (targets, column_of) = sides
    truth = np.zeros((len(queries), len(targets)), bool)
    for a, b in pairs:
        if a in row_of and b in column_of:
            truth[row_of[a], column_of[b]] = True
    if not truth.any():
        raise BindplugError(f"{data}: no pair can be read in full: {errors[0]}")
    cosines = queries.vectors @ targets.vectors.T
    figures = {
        "data": str(data), "space": embedder.space,
        f"{query} items": len(queries), f"{target} items": len(targets),
    }  # fmt: skip
    return figures | retrieval(query, target, cosines, truth), errors


def embed_good(
    embedder, modality: str, values: list[str], options: dict, progress: bool = False
) -> tuple[Embedding, list[int], list[BindplugError]]:
    """An Embedding of the inputs that can be read, their indices, and the errors of the others.
    Raises BindplugError: none can be read."""
    from tqdm import tqdm

    from ..embedding.modalities import options_of

    vectors, readable, errors = [], [], []
    rows = embedder.stream(modality, values, **options_of(modality, options))
    for row in tqdm(rows, modality, len(values), disable=None if progress else True, leave=False):
        if row.error:
            errors.append(row.error)
        else:
            vectors.append(row.vectors)
            readable.append(row.index)
    if not readable:
        raise errors[0]
    labels = tuple(values[i] for i in readable)
    return Embedding(np.concatenate(vectors), embedder.space, modality, labels), readable, errors
