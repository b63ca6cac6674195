"""Training-free maps from one embedding space into another, fitted on text that both can encode.

`identity` is for one and the same space. `vocabulary` says a vector in words: a softmax over the
words' vectors of the source space weighs the same words' vectors of the target space (the
projection onto a text memory of DeCap, arXiv 2303.03032, with another space's memory). `linear`
is the closed-form ridge regression from the words' source vectors to their target vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files

import numpy as np

from .embedding import Embedding, unit
from .errors import BindplugError, SpaceMismatch

KINDS = ("identity", "vocabulary", "linear")
DEFAULT = "vocabulary"
TEMPLATES = ("{}", "a {}", "a picture of a {}", "a photo of a {}")
TEMPERATURE = 0.05
RIDGE = 0.1


class Bridge:
    """A map from the space `source` into the space `target`.

    Attributes:
        kind: one of KINDS.
        words: the vocabulary that it was fitted on.
    """

    kind = "identity"

    def __init__(self, source: str, target: str, words: Sequence[str] = ()):
        self.source, self.target, self.words = source, target, tuple(words)

    def __call__(self, embedding: Embedding) -> Embedding:
        """Carry an embedding over.

        Raises:
            SpaceMismatch: the embedding is not of the source space.
        """
        if embedding.space != self.source:
            raise SpaceMismatch(
                f"this bridge leads from {self.source!r} to {self.target!r}, "
                f"the embedding is of {embedding.space!r}"
            )
        vectors = self._map(embedding.vectors)
        return replace(embedding, vectors=vectors, space=self.target)

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        return vectors

    def __str__(self) -> str:
        if self.kind == "identity":
            return self.kind
        return f"{self.kind} ({self.source} to {self.target}, {len(self.words)} words)"


class VocabularyBridge(Bridge):
    """softmax(cosine to the source's word vectors / temperature) @ the target's word vectors.

    Args:
        from_words: (W, D) word vectors in the source space.
        to_words: (W, E) the same words' vectors in the target space.
    """

    kind = "vocabulary"

    def __init__(self, source, target, words, from_words, to_words, temperature=TEMPERATURE):
        super().__init__(source, target, words)
        self.from_words, self.to_words = unit(from_words), unit(to_words)
        self.temperature = temperature

    def weights(self, vectors: np.ndarray) -> np.ndarray:
        """(N, W), rows sum to 1."""
        logits = unit(vectors) @ self.from_words.T / self.temperature
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        return self.weights(vectors) @ self.to_words

    def explain(self, embedding: Embedding, top: int = 5) -> list[list[tuple[str, float]]]:
        """For each row the words it was taken for, heaviest first."""
        weights = self.weights(embedding.vectors)
        order = np.argsort(-weights, axis=1)[:, :top]
        return [
            [(self.words[i], float(w[i])) for i in row]
            for row, w in zip(order, weights, strict=True)
        ]


class LinearBridge(Bridge):
    """Ridge regression between centred word vectors: (x - mean) W + mean'."""

    kind = "linear"

    def __init__(self, source, target, words, from_words, to_words, ridge=RIDGE):
        super().__init__(source, target, words)
        x, y = unit(from_words).astype(np.float64), unit(to_words).astype(np.float64)
        self.from_mean, self.to_mean = x.mean(axis=0), y.mean(axis=0)
        x, y = x - self.from_mean, y - self.to_mean
        gram = x.T @ x + ridge * np.eye(x.shape[1])
        self.matrix = np.linalg.solve(gram, x.T @ y)

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        return (vectors - self.from_mean) @ self.matrix + self.to_mean


def default_vocabulary(modality: str | None = None) -> list[str]:
    """About a thousand names of everyday things, shipped with bindplug.

    Args:
        modality: "audio" gives only those that are known by a sound of their own: what makes
            none would merely take weight from the others.
    """
    name = "sounding.txt" if modality == "audio" else "vocabulary.txt"
    return files("bindplug").joinpath(name).read_text("utf-8").split("\n")[:-1]


def word_vectors(
    embedder, words: Sequence[str], templates: Sequence[str] = TEMPLATES, progress: bool = False
) -> np.ndarray:
    """(W, D) unit vectors of words, averaged over templates; kept on disk for the next time."""
    from .words import text_vectors

    texts = [t.replace("{}", w) for w in words for t in templates]
    vectors = text_vectors(embedder, texts, progress)
    return unit(vectors.reshape(len(words), len(templates), -1).mean(axis=1))


def fit_bridge(
    kind: str,
    source,
    target,
    vocabulary: Sequence[str] | None = None,
    target_templates: Sequence[str] = TEMPLATES,
    progress: bool = False,
) -> Bridge:
    """Fit a bridge on a vocabulary.

    Args:
        kind: one of KINDS.
        source, target: embedders that speak text, or names of spaces that a plugin speaks.
        vocabulary: words; None takes `default_vocabulary`.
        target_templates: how the target wants names to be worded, "{}" for the name.

    Raises:
        BindplugError: an unknown kind or space, an empty vocabulary, or an embedder without text.
    """
    if kind not in KINDS:
        raise BindplugError(f"no bridge {kind!r}; choose one of {', '.join(KINDS)}")
    source, target = _speaker(source), _speaker(target)
    if kind == "identity":
        if source.space != target.space:
            raise SpaceMismatch(
                f"{source.space!r} and {target.space!r} are two spaces; "
                "the identity bridge joins only a space with itself; choose vocabulary or linear"
            )
        return Bridge(source.space, target.space)
    words = default_vocabulary() if vocabulary is None else list(vocabulary)
    if not words:
        raise BindplugError("a bridge needs at least one word")
    for embedder in (source, target):
        if "text" not in embedder.senses:
            raise BindplugError(f"no bridge over {embedder.space!r}: it does not embed text")
    make = VocabularyBridge if kind == "vocabulary" else LinearBridge
    from_words = word_vectors(source, words, progress=progress)
    to_words = word_vectors(target, words, target_templates, progress)
    return make(source.space, target.space, words, from_words, to_words)


def _speaker(space):
    if not isinstance(space, str):
        return space
    from .plugins import speaker

    return speaker(space)


@cache
def _between(
    kind: str, source: str, target: str, modality: str | None, templates: tuple[str, ...]
) -> Bridge:
    return fit_bridge(kind, source, target, default_vocabulary(modality), templates)


def cross(
    embedding: Embedding,
    space: str,
    bridge: Bridge | str | None = None,
    templates: Sequence[str] = TEMPLATES,
):
    """An embedding in `space`, and the bridge it took.

    Args:
        bridge: a fitted bridge, a kind, or None for the default: identity within a space,
            vocabulary between two, for sounds the vocabulary of things that sound.
        templates: how names are worded in `space`.

    Raises:
        SpaceMismatch: no bridge can be built, with what is missing.
    """
    if isinstance(bridge, Bridge):
        chosen = bridge
    elif bridge is None and embedding.space == space:
        chosen = Bridge(space, space)
    else:
        kind = bridge or DEFAULT
        # Only where words compete does it matter which words there are.
        modality = embedding.modality if kind == "vocabulary" else None
        chosen = _between(kind, embedding.space, space, modality, tuple(templates))
    if chosen.target != space:
        raise SpaceMismatch(f"this bridge leads to {chosen.target!r}; {space!r} is wanted")
    return chosen(embedding), chosen
