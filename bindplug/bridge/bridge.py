"""Bridges: maps from one embedding space into another, fitted on text that both can encode.

They are siblings over one vocabulary of W words, whose unit vectors are known in the source space,
in the target space, or in both:

- `identity`: the source space is the target space.
- `vocabulary`: softmax(cosine to the source's word vectors / temperature) @ target's word vectors,
  the projection onto a text memory of DeCap (arXiv 2303.03032) with another space's memory.
- `linear`: ridge regression from the words' source vectors to their target vectors.
- `words`: only the softmax, for target models that read text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ..embedding.vectors import Embedding, by_parts, softmax, unit
from ..errors import BindplugError, SpaceMismatch

KINDS = ("identity", "vocabulary", "linear", "words")
READING = ""  # stands for the space of target models that read text: they have none
TEMPERATURE = 0.05
RIDGE = 0.1
# Of an embedding, by row, the (E,) vectors that are known in the target space without the bridge.
Known = Callable[[Embedding], dict[int, np.ndarray]]
READS_NO_TEXT = (
    "the words bridge is for target models that read text; choose vocabulary, linear or crops"
)


@dataclass(frozen=True)
class Crossing:
    """What N rows become on the other side of a bridge."""

    rows: Embedding | None  # in the target space; None for the words bridge
    words: tuple[str, ...] = ()  # the vocabulary, W words or none
    word_probabilities: np.ndarray | None = None  # (N, W) float32, rows sum to 1; None: no words
    word_rows: np.ndarray | None = None  # (W, E) the words' unit vectors in the target space


@dataclass(eq=False, repr=False)
class Bridge:
    """A map from the space `source` into `target`; subclasses define `_map` and `_cosines`."""

    source: str
    target: str
    words: Sequence[str] = ()  # the vocabulary, W words or none
    from_words: np.ndarray | None = None  # (W, D) their unit vectors in the source space
    to_words: np.ndarray | None = None  # (W, E) their unit vectors in the target space
    temperature: float = TEMPERATURE  # of the softmax over words
    kind: ClassVar[str] = ""  # one of KINDS

    def __post_init__(self):
        self.words = tuple(self.words)
        self.from_words = None if self.from_words is None else unit(self.from_words)
        self.to_words = None if self.to_words is None else unit(self.to_words)

    def __call__(self, embedding: Embedding, known: Known | None = None) -> Embedding:
        """The embedding in the target space; a sum is mapped part by part and summed there.

        Args:
            known: rows that do not cross, as their vectors in the target space are known.

        Raises SpaceMismatch: the embedding is not of the source space, or the target has no
        vectors."""
        self._check(embedding)

        def carry(e: Embedding) -> Embedding:
            embedder = e.embedder if self.source == self.target else None
            vectors = self._map(e.vectors)
            if known and (rows := known(e)):
                vectors = unit(vectors)
                vectors[list(rows)] = list(rows.values())
            return replace(e, vectors=vectors, space=self.target, embedder=embedder)

        return by_parts(embedding, carry)

    def cross(self, embedding: Embedding, known: Known | None = None) -> Crossing:
        """Rows, word probabilities and vocabulary rows in one call; errors as in `__call__`."""
        rows = None if self.kind == "words" else self(embedding, known)
        probabilities = self.word_probabilities(embedding, known) if self.words else None
        return Crossing(rows, tuple(self.words), probabilities, self.to_words)

    def word_probabilities(self, embedding: Embedding, known: Known | None = None) -> np.ndarray:
        """(N, W) softmax(cosines / temperature); of a sum, the weighted mean over its parts. The
        cosines of `known` rows are those in the target space.
        Raises SpaceMismatch: as in `__call__`; BindplugError: a bridge without words."""
        self._check(embedding)
        if not self.words:
            raise BindplugError(f"the {self.kind} bridge has no words; fit it on a vocabulary")
        cosines = self._cosines(embedding.vectors)
        if known and self.to_words is not None:
            for i, vector in known(embedding).items():
                cosines[i] = vector @ self.to_words.T
        out = softmax(cosines / self.temperature)
        for i, row in enumerate(embedding.parts):
            if row:
                total = sum(w for _, w in row)
                out[i] = sum(w * self.word_probabilities(e, known)[0] for e, w in row) / total
        return out

    def explain(self, embedding: Embedding, top: int = 5) -> list[list[tuple[str, float]]]:
        """For each row its `top` words with their probabilities, most probable first."""
        return top_words(self.words, self.word_probabilities(embedding), top)

    def _check(self, embedding: Embedding) -> None:
        if embedding.space != self.source:
            raise SpaceMismatch(
                f"this bridge leads from {self.source!r} to {self.target!r}, "
                f"but the embedding is of {embedding.space!r}"
            )

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        """(N, D) unit rows to (N, E), of any length."""
        raise NotImplementedError

    def _cosines(self, vectors: np.ndarray) -> np.ndarray:
        """(N, W) cosines to the words, in the source space."""
        assert self.from_words is not None  # where there are words
        return unit(vectors) @ self.from_words.T

    def __str__(self) -> str:
        if not self.words:
            return self.kind
        target = f" to {self.target}" if self.target else ""
        return f"{self.kind} ({self.source}{target}, {len(self.words)} words)"


class IdentityBridge(Bridge):
    """Rows stay as they are; with words, they are compared in the one space there is."""

    kind = "identity"

    def __init__(self, space: str, words: Sequence[str] = (), to_words: np.ndarray | None = None):
        super().__init__(space, space, words, to_words, to_words)

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        return vectors

    def __str__(self) -> str:
        return self.kind


class VocabularyBridge(Bridge):
    """softmax(cosine to the source's word vectors / temperature) @ the target's word vectors."""

    kind = "vocabulary"

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        return softmax(self._cosines(vectors) / self.temperature) @ self.to_words


class LinearBridge(Bridge):
    """(x - mean) W + mean', with W by ridge regression between centred word vectors.

    Words are compared in the target space.

    Args:
        ridge: weight of the squared Frobenius norm of W.
        centre: (D,) takes the place of `mean` where vectors cross: the mean of vectors of the
            modality that will, which lie elsewhere than texts (arXiv 2401.08567); None takes the
            words' own.
    """

    kind = "linear"

    def __init__(
        self, source, target, words, from_words, to_words, ridge: float = RIDGE, centre=None
    ):
        super().__init__(source, target, words, from_words, to_words)
        x, y = (unit(v).astype(np.float64) for v in (from_words, to_words))
        mean, self.to_mean = x.mean(axis=0), y.mean(axis=0)
        self.centre = mean if centre is None else centre
        x, y = x - mean, y - self.to_mean
        gram = x.T @ x + ridge * np.eye(x.shape[1])
        self.matrix = np.linalg.solve(gram, x.T @ y)

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        return (vectors - self.centre) @ self.matrix + self.to_mean

    def _cosines(self, vectors: np.ndarray) -> np.ndarray:
        assert self.to_words is not None  # of `__init__`
        return unit(self._map(vectors)) @ self.to_words.T


class WordsBridge(Bridge):
    """The words alone, for target models that read text."""

    kind = "words"

    def __init__(self, source, words, from_words, temperature: float = TEMPERATURE):
        super().__init__(source, READING, words, from_words, None, temperature)

    def _map(self, vectors: np.ndarray) -> np.ndarray:
        raise SpaceMismatch(READS_NO_TEXT)


def top_words(
    words: Sequence[str], probabilities: np.ndarray, top: int
) -> list[list[tuple[str, float]]]:
    """For each row of (N, W) probabilities its `top` words, most probable first."""
    return [[(words[i], float(row[i])) for i in np.argsort(-row)[:top]] for row in probabilities]
