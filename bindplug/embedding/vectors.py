"""Vectors that know their space, and the arithmetic between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

import numpy as np

from ..errors import BindplugError, SpaceMismatch
from .inputs import sum_caption


def unit(vectors: np.ndarray) -> np.ndarray:
    """(..., D) to float32 rows of length 1; a zero row stays zero, a unit row the very same."""
    vectors = np.asarray(vectors, dtype=np.float32)
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(np.abs(norm - 1) < 1e-6, vectors, vectors / np.maximum(norm, 1e-12))


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, C) to probabilities over the C columns, in the precision of the logits."""
    out = np.exp(logits - logits.max(axis=1, keepdims=True))
    return out / out.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Embedding:
    """N unit vectors of one space. Equal content compares equal, whoever made it.

    Attributes:
        vectors: (N, D) float32, rows of length 1.
        space: name of the space, compared exactly; equal width is not equal space.
        modality: image, text, audio, ... or "mixed" for rows of several.
        labels: one name per row: a path, a text, or for a sum its `sum_caption`.
        times: for each row the (start, end) seconds of its clips; () for stills and texts.
        parts: for each row the (embedding of one row, weight) pairs that `compose` added up; ()
            for rows that are not sums.
        embedder: what made the vectors, where it is known: bridges encode their words with it. It
            is not pickled; a bridge then takes the installed embedder of the space.

    Raises BindplugError: vectors that are not (N, D) or not finite, or other counts of labels,
    times or parts."""

    vectors: np.ndarray
    space: str
    modality: str
    labels: tuple[str, ...]
    times: tuple[tuple[tuple[float, float], ...], ...] = ()
    parts: tuple[tuple[tuple[Embedding, float], ...], ...] = ()
    embedder: object = field(default=None, repr=False)

    def __post_init__(self):
        vectors = np.asarray(self.vectors, dtype=np.float32)
        if vectors.ndim != 2:
            raise BindplugError(f"embedding of shape {vectors.shape}; vectors are (N, D)")
        if len(self.labels) != len(vectors):
            raise BindplugError(f"{len(vectors)} vectors with {len(self.labels)} labels")
        if not np.isfinite(vectors).all():
            raise BindplugError("embedding with NaN or infinite values")
        object.__setattr__(self, "vectors", unit(vectors))
        object.__setattr__(self, "labels", tuple(self.labels))
        for name in ("times", "parts"):
            each = tuple(getattr(self, name)) or ((),) * len(vectors)
            if len(each) != len(vectors):
                raise BindplugError(f"{len(vectors)} vectors with the {name} of {len(each)}")
            object.__setattr__(self, name, each)

    def __getstate__(self) -> dict:
        """Without the embedder: a pickled embedding would carry all its weights."""
        return {**self.__dict__, "embedder": None}

    def __copy__(self) -> Embedding:
        return replace(self)

    def __deepcopy__(self, memo) -> Embedding:
        """Copies of the vectors, of the same embedder."""
        return replace(self, vectors=self.vectors.copy())

    def __len__(self) -> int:
        return len(self.vectors)

    def __eq__(self, other) -> bool:
        if not isinstance(other, Embedding):
            return NotImplemented
        of = attrgetter("space", "modality", "labels", "times", "parts")
        return np.array_equal(self.vectors, other.vectors) and of(self) == of(other)

    def __hash__(self) -> int:
        first = (self.vectors[:1] + 0.0).tobytes()  # -0.0 equals 0.0
        return hash((self.vectors.shape, first, self.space, self.labels))

    def __getitem__(self, rows) -> Embedding:
        """Rows at an index, index array, boolean mask or slice, always as (n, D)."""
        if isinstance(rows, int):  # without counting all rows for one
            index = np.array([range(len(self))[rows]])
        else:
            index = np.atleast_1d(np.arange(len(self))[rows])
        names = ("labels", "times", "parts")
        each: dict[str, Any] = {n: tuple(getattr(self, n)[i] for i in index) for n in names}
        return replace(self, vectors=self.vectors[index], **each)


def check_embedding(value) -> None:
    """Raises BindplugError: it is no Embedding."""
    if not isinstance(value, Embedding):
        raise BindplugError(
            f"a prompt of type {type(value).__name__}; give an Embedding, as from "
            'embed(text="a dog")'
        )


def concatenate(embeddings: Sequence[Embedding]) -> Embedding:
    """All rows in order; several modalities become "mixed".
    Raises SpaceMismatch: rows of two spaces; BindplugError: no embedding."""
    if not embeddings:
        raise BindplugError("concatenate needs at least one embedding")
    _one_space(embeddings)
    return Embedding(
        np.concatenate([e.vectors for e in embeddings]),
        embeddings[0].space,
        _modality(embeddings),
        tuple(label for e in embeddings for label in e.labels),
        tuple(times for e in embeddings for times in e.times),
        tuple(parts for e in embeddings for parts in e.parts),
        _embedder(embeddings),
    )


def compose(parts: Sequence[tuple[Embedding, float]]) -> Embedding:
    """Embedding arithmetic, unit(sum_i w_i x_i) row by row (ImageBind, section 4.3).

    A sum keeps its parts, so that a bridge can map each by itself. A difference, which has a
    weight of 0 or less, does not: it is a direction of its own (one of texts is not a text), and
    crosses a bridge as a whole.

    Args:
        parts: (embedding, weight) pairs of one space, x_i and w_i. Each has N rows, or one row
            that is used for all N.

    Returns:
        N rows.

    Raises SpaceMismatch: parts of two spaces; BindplugError: no part, row counts that do not fit,
    weights that are NaN or infinite, or a sum below 1e-6 of the largest weight (the parts cancel
    out)."""
    if not parts:
        raise BindplugError("compose needs at least one (embedding, weight) pair")
    if any(not isinstance(part, tuple | list) or len(part) != 2 for part in parts):
        raise BindplugError("compose takes (embedding, weight) pairs, as [(dog, 0.5), (sea, 0.5)]")
    embeddings = [e for e, _ in parts]
    _one_space(embeddings)
    count = max(map(len, embeddings))
    if any(len(e) not in (1, count) for e in embeddings):
        sizes = ", ".join(str(len(e)) for e in embeddings)
        raise BindplugError(f"compose of {sizes} rows; give equal numbers, or one row")
    try:
        weights = np.array([w for _, w in parts], dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise BindplugError(
            f"compose with the weights {[w for _, w in parts]}; give numbers"
        ) from err
    if not np.isfinite(weights).all():
        raise BindplugError(f"compose with the weights {weights.tolist()}; give finite numbers")
    largest = np.abs(weights).max()
    if largest and not 1e-6 < largest < 1e6:  # float32 and `unit` hold any ratio, not any size
        weights, largest = weights / largest, 1.0
    parts = list(zip(embeddings, weights.tolist(), strict=True))
    total = np.asarray(sum(np.float32(w) * e.vectors for e, w in parts))
    if not largest or (np.linalg.norm(total, axis=1) < 1e-6 * largest).any():
        raise BindplugError("the parts cancel out; choose other weights")
    is_sum = all(w > 0 for _, w in parts)
    if len(parts) == 1 and is_sum:
        return embeddings[0]
    modality = _modality(embeddings)
    if modality == "text" and not is_sum:
        modality = "mixed"
    labels = [e.labels * count if len(e) == 1 else e.labels for e in embeddings]
    return Embedding(
        total,
        embeddings[0].space,
        modality,
        tuple(sum_caption(row, weights.tolist()) for row in zip(*labels, strict=True)),
        parts=tuple(tuple((e[i % len(e)], w) for e, w in parts) for i in range(count) if is_sum),
        embedder=_embedder(embeddings),
    )


def mixed(parts: Sequence[Embedding], weights: Sequence[float] = ()) -> Embedding:
    """`compose` of embeddings with a weight for each; () weighs them alike.
    Raises BindplugError: not one weight for each part; or as in `compose`."""
    if weights and len(weights) != len(parts):
        raise BindplugError(f"{len(weights)} weights for {len(parts)} prompts; give one for each")
    return compose(list(zip(parts, weights or [1.0] * len(parts), strict=True)))


def by_parts(embedding: Embedding, carry: Callable[[Embedding], Embedding]) -> Embedding:
    """`carry`, a map of one space to another, of every row; of a sum, sum_i w_i carry(x_i). A
    softmax over words of the sum itself would find the word that lies between its parts."""
    out = carry(embedding)
    if not any(embedding.parts):
        return out
    parts = tuple(tuple((by_parts(e, carry), w) for e, w in row) for row in embedding.parts)
    vectors = out.vectors.copy()
    for i, row in enumerate(parts):
        if row:
            vectors[i] = sum(np.float32(w) * e.vectors[0] for e, w in row)
    return replace(out, vectors=vectors, parts=parts)


def slerp(a: Embedding, b: Embedding, t: float) -> Embedding:
    """The row at t in [0, 1] on the shortest arc from one row to the other (Shoemake, 1985).
    Raises SpaceMismatch: rows of two spaces; BindplugError: not one row each, or opposite rows,
    between which no arc is the shortest."""
    _one_space([a, b])
    if len(a) != 1 or len(b) != 1:
        raise BindplugError(f"slerp between {len(a)} and {len(b)} rows; give one each")
    angle = np.arccos(np.clip(float(a.vectors[0] @ b.vectors[0]), -1, 1))
    if angle > np.pi - 1e-3:
        raise BindplugError("the two point opposite ways; no arc between them is the shortest")
    if angle < 1e-4:
        return a
    weights = np.sin([(1 - t) * angle, t * angle]) / np.sin(angle)
    vectors = weights[0] * a.vectors + weights[1] * b.vectors
    label = f"{a.labels[0]} to {b.labels[0]} at {t:.2f}"
    return Embedding(vectors, a.space, "mixed", (label,), embedder=_embedder([a, b]))


def similarity(a: Embedding, b: Embedding) -> np.ndarray:
    """(len(a), len(b)) cosines; SpaceMismatch between two spaces."""
    _one_space([a, b])
    return a.vectors @ b.vectors.T


def _modality(embeddings: Sequence[Embedding]) -> str:
    found = {e.modality for e in embeddings}
    return found.pop() if len(found) == 1 else "mixed"


def _embedder(embeddings: Sequence[Embedding]):
    """The embedder of the first that knows its own."""
    return next((e.embedder for e in embeddings if e.embedder is not None), None)


def _one_space(embeddings: Sequence[Embedding]) -> None:
    for embedding in embeddings:
        check_embedding(embedding)
    spaces = list(dict.fromkeys(e.space for e in embeddings))
    if len(spaces) > 1:
        raise SpaceMismatch(
            f"embeddings of two spaces, {spaces[0]!r} and {spaces[1]!r}; cross first: "
            f"bindplug.fit_bridge('vocabulary', {spaces[1]!r}, {spaces[0]!r})"
        )
