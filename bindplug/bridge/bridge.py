"""Training-free maps from one embedding space into another, fitted on text that both can encode.

`identity` is for one and the same space. `vocabulary` says a vector in words: a softmax over the
words' vectors of the source space weighs the same words' vectors of the target space (the
projection onto a text memory of DeCap, arXiv 2303.03032, with another space's memory). `linear`
is the closed-form ridge regression from the words' source vectors to their target vectors.
`words` stops at the words themselves, for hosts that read only text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from ..embedding.vectors import Embedding, by_parts, unit
from ..errors import BindplugError, SpaceMismatch
from .vocabulary import default_vocabulary

KINDS = ("identity", "vocabulary", "linear", "words")
DEFAULT = "vocabulary"
READING = "words"  # the "space" of hosts that read
TEMPLATES = ("{}", "a {}", "a picture of a {}", "a photo of a {}")
TEMPERATURE = 0.05
RIDGE = 0.1


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


class Bridge:
    """A map from the space `source` into the space `target`; as it is, the identity.

    Attributes:
        kind: one of KINDS.
        words: the vocabulary that it was fitted on, W words or none.
        to_words: (W, E) their unit vectors in the target space; None without words.
        temperature: of the softmax over words.
    """

    kind = "identity"

    def __init__(
        self,
        source: str,
        target: str,
        words: Sequence[str] = (),
        to_words: np.ndarray | None = None,
        temperature: float = TEMPERATURE,
    ):
        self.source, self.target, self.words = source, target, tuple(words)
        self.to_words = None if to_words is None else unit(to_words)
        self.temperature = temperature

    def __call__(self, embedding: Embedding) -> Embedding:
        """Carry an embedding over, a sum part by part.

        Raises:
            SpaceMismatch: the embedding is not of the source space.
        """
        self._check(embedding)
        return by_parts(
            embedding, lambda e: replace(e, vectors=self._map(e.vectors), space=self.target)
        )

    def weights(self, embedding: Embedding) -> np.ndarray:
        """(N, W) how far each row is each word, a sum by its parts; rows sum to 1.

        Raises:
            SpaceMismatch: the embedding is not of the source space.
            BindplugError: a bridge without words.
        """
        self._check(embedding)
        if not self.words:
            raise BindplugError(f"the {self.kind} bridge was fitted on no words")
        weights = softmax(self._cosines(embedding.vectors) / self.temperature)
        for i, row in enumerate(embedding.parts):
            if row:
                weights[i] = sum(w * self.weights(e)[0] for e, w in row) / sum(w for _, w in row)
        return weights

    def explain(self, embedding: Embedding, top: int = 5) -> list[list[tuple[str, float]]]:
        """For each row the words it is taken for, heaviest first."""
        weights = self.weights(embedding)
        order = np.argsort(-weights, axis=1)[:, :top]
        return [
            [(self.words[i], float(w[i])) for i in row]
            for row, w in zip(order, weights, strict=True)
        ]

    def _check(self, embedding: Embedding) -> None:
        if embedding.space != self.source:
            raise SpaceMismatch(
                f"this bridge leads from {self.source!r} to {self.target!r}, "
                f"the embedding is of {embedding.space!r}"
            )

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        return vectors

    def _cosines(self, vectors: np.ndarray) -> np.ndarray:
        """(N, W), where the words are compared: here on the far side."""
        return unit(self._map(vectors)) @ self.to_words.T

    def __str__(self) -> str:
        if self.kind == "identity":
            return self.kind
        return f"{self.kind} ({self.source} to {self.target}, {len(self.words)} words)"


class WordsBridge(Bridge):
    """The words that a vector is taken for, by cosine to their vectors in the source space.

    Args:
        from_words: (W, D) word vectors in the source space.
    """

    kind = "words"

    def __init__(self, source, words, from_words, temperature=TEMPERATURE):
        super().__init__(source, READING, words, None, temperature)
        self.from_words = unit(from_words)

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        raise SpaceMismatch(
            "the words bridge is for hosts that read; choose vocabulary, linear or crops"
        )

    def _cosines(self, vectors: np.ndarray) -> np.ndarray:
        return unit(vectors) @ self.from_words.T


class VocabularyBridge(WordsBridge):
    """softmax(cosine to the source's word vectors / temperature) @ the target's word vectors.

    Args:
        from_words: (W, D) word vectors in the source space.
        to_words: (W, E) the same words' vectors in the target space.
    """

    kind = "vocabulary"

    def __init__(self, source, target, words, from_words, to_words, temperature=TEMPERATURE):
        super().__init__(source, words, from_words, temperature)
        self.target, self.to_words = target, unit(to_words)

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        return softmax(self._cosines(vectors) / self.temperature) @ self.to_words


class LinearBridge(Bridge):
    """Ridge regression between centred word vectors: (x - mean) W + mean'.

    Args:
        from_words, to_words: as in VocabularyBridge.
        centre: (D,) what takes the place of `mean` where vectors cross: the mean of vectors of
            the sense that will, which lie elsewhere than texts (arXiv 2401.08567); None takes the
            words' own.
    """

    kind = "linear"

    def __init__(self, source, target, words, from_words, to_words, ridge=RIDGE, centre=None):
        super().__init__(source, target, words, to_words)
        x, y = unit(from_words).astype(np.float64), self.to_words.astype(np.float64)
        mean, self.to_mean = x.mean(axis=0), y.mean(axis=0)
        self.centre = mean if centre is None else centre
        x, y = x - mean, y - self.to_mean
        gram = x.T @ x + ridge * np.eye(x.shape[1])
        self.matrix = np.linalg.solve(gram, x.T @ y)

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        return (vectors - self.centre) @ self.matrix + self.to_mean


def word_vectors(
    embedder, words: Sequence[str], templates: Sequence[str] = TEMPLATES, progress: bool = False
) -> np.ndarray:
    """(W, D) unit vectors of words, averaged over templates; kept on disk for the next time."""
    from .text_cache import text_vectors

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
    centre: Embedding | None = None,
) -> Bridge:
    """Fit a bridge on a vocabulary.

    Args:
        kind: one of KINDS.
        source, target: embedders that speak text, or names of spaces that a plugin speaks; of
            `words` the target is not asked.
        vocabulary: words; None takes `default_vocabulary`, for the identity none.
        target_templates: how the target wants names to be worded, "{}" for the name.
        centre: for `linear`, an embedding of many inputs of the sense that will cross, in the
            source space: their mean takes the place of the words'.

    Raises:
        BindplugError: an unknown kind or space, an empty vocabulary, or an embedder without text.
    """
    if kind not in KINDS:
        raise BindplugError(f"no bridge {kind!r}; choose one of {', '.join(KINDS)}")
    source = _speaker(source)
    target = source if kind == "words" else _speaker(target)
    if kind == "identity" and source.space != target.space:
        raise SpaceMismatch(
            f"{source.space!r} and {target.space!r} are two spaces; "
            "the identity bridge joins only a space with itself; choose vocabulary or linear"
        )
    if kind == "identity" and vocabulary is None:
        return Bridge(source.space, target.space)
    words = default_vocabulary() if vocabulary is None else list(vocabulary)
    if not words:
        raise BindplugError("a bridge needs at least one word")
    for embedder in (source, target):
        if "text" not in embedder.modalities:
            raise BindplugError(f"no bridge over {embedder.space!r}: it does not embed text")
    if kind == "identity":
        there = word_vectors(target, words, target_templates, progress)
        return Bridge(source.space, target.space, words, there)
    here = word_vectors(source, words, progress=progress)
    if kind == "words":
        return WordsBridge(source.space, words, here)
    there = word_vectors(target, words, target_templates, progress)
    if kind == "vocabulary":
        return VocabularyBridge(source.space, target.space, words, here, there)
    mean = None
    if centre is not None:
        if centre.space != source.space:
            raise SpaceMismatch(f"centre of {centre.space!r}; the source is {source.space!r}")
        mean = centre.vectors.mean(axis=0)
    return LinearBridge(source.space, target.space, words, here, there, centre=mean)


def _speaker(space):
    if not isinstance(space, str):
        return space
    from ..models.load import speaker

    return speaker(space)


@cache
def fitted(
    kind: str, source: str, target: str, words: tuple[str, ...], templates: tuple[str, ...]
) -> Bridge:
    """`fit_bridge` by names, kept for the next time."""
    return fit_bridge(kind, source, target, words, templates)


def cross(
    embedding: Embedding,
    space: str,
    bridge: Bridge | str | None = None,
    templates: Sequence[str] = TEMPLATES,
    vocabulary: Sequence[str] | None = None,
):
    """An embedding in `space`, and the bridge it took.

    Args:
        bridge: a fitted bridge, a kind, or None for the default: identity within a space,
            vocabulary between two.
        templates: how names are worded in `space`.
        vocabulary: words for a bridge that is not fitted yet; None takes the shipped ones, for
            sounds those of things that sound.

    Raises:
        SpaceMismatch: no bridge can be built, with what is missing.
    """
    chosen = bridge_to(embedding, space, bridge, templates, vocabulary)
    return chosen(embedding), chosen


def bridge_to(
    embedding: Embedding,
    space: str,
    bridge: Bridge | str | None = None,
    templates: Sequence[str] = TEMPLATES,
    vocabulary: Sequence[str] | None = None,
    need_words: bool = False,
) -> Bridge:
    """The bridge that `cross` takes; where words are needed, the identity has them too."""
    if isinstance(bridge, Bridge):
        chosen = bridge
    elif bridge in (None, "identity") and embedding.space == space and not need_words:
        chosen = Bridge(space, space)
    else:
        kind = bridge or ("identity" if embedding.space == space else DEFAULT)
        if vocabulary is None:  # only where words compete does it matter which words there are
            vocabulary = default_vocabulary(None if kind == "linear" else embedding.modality)
        if kind == "words" and space != READING:
            raise SpaceMismatch(
                "the words bridge is for hosts that read; choose vocabulary, linear or crops"
            )
        chosen = fitted(kind, embedding.space, space, tuple(vocabulary), tuple(templates))
    if chosen.target != space:
        raise SpaceMismatch(f"this bridge leads to {chosen.target!r}; {space!r} is wanted")
    return chosen
