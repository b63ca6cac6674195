"""Queries: the rows that a detector scores regions with, and how logits become scores."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..bridge import Bridge, Target, choose_bridge, text_reader, to_words
from ..bridge.bridge import Crossing, top_words
from ..bridge.fit import background
from ..bridge.vocabulary import as_words
from ..embedding.vectors import Embedding, check_embedding, unit
from ..errors import BindplugError, SpaceMismatch, check_choice

COMPETITIONS = ("words", "prompts", "none")
SAME_MEANING = 0.8  # centred cosine above which two names mean nearly the same
EXPLAINED = 3  # words for each prompt in results


@dataclass(frozen=True)
class Query:
    """K rows to score regions with, and C prompts that are read off the K logits.

    How logits become probabilities is the `competition`:

    - "none": p_c = sigmoid(logit_c), as the detectors do themselves.
    - "prompts": softmax over the C prompts.
    - "words": prompts compete with the W words of a vocabulary:
      p_c = sqrt(sigmoid(logit_c) * sum_w A[c, w] * softmax_w(logits of the words)). A[c, w] is
      P(word w | prompt c) divided by its largest value over w, so that a sound that could be
      several things finds each, and 1 for words that mean nearly the same as the prompt. Of the
      ways compared in docs/bridges.md this ranks best and keeps the scale of the sigmoid.

    Attributes:
        labels: one for each prompt that is looked for.
        vectors: (K, E) unit rows in the target space: the C prompts, then the W words where they
            compete; None for a detector that reads text.
        texts: for a detector that reads text, its K words.
        word_probabilities: (C, W) float32, A of the formula above; for a detector that reads text
            the (C, K) shares of its words; else None.
        negatives: how many of the C prompts, the last ones, only suppress regions.
        competition: one of COMPETITIONS.
        heard: for each label its most probable words with their probabilities, best first; empty
            where the bridge has no words.
        metadata: model, bridge and competition, for the result.
    """

    labels: tuple[str, ...]
    vectors: np.ndarray | None = None
    texts: tuple[str, ...] = ()
    word_probabilities: np.ndarray | None = None
    negatives: int = 0
    competition: str = "none"
    heard: tuple[tuple[tuple[str, float], ...], ...] = ()
    metadata: dict = field(default_factory=dict)

    def to_probabilities(self, logits):
        """(..., K) logits, a tensor, to (..., C) probabilities."""
        import torch

        if self.competition == "prompts":
            return logits.softmax(dim=-1)
        if self.word_probabilities is None:
            return logits.sigmoid()
        words = torch.from_numpy(self.word_probabilities.T).to(logits)
        if self.vectors is None:
            return logits.sigmoid() @ words
        prompts = len(self.labels) + self.negatives
        named = logits[..., prompts:].softmax(dim=-1) @ words
        return (logits[..., :prompts].sigmoid() * named).sqrt()

    def suppress_negatives(self, scores):
        """(n, C) scores, a tensor, to (n, prompts): 0 where a negative scores as high or higher."""
        wanted = scores[:, : len(self.labels)]
        if not self.negatives:
            return wanted
        best = scores[:, len(self.labels) :].amax(dim=1, keepdim=True)
        return wanted * (wanted > best)


def build_query(
    embedding: Embedding, target: Target | str, bridge: Bridge | str | None = None,
    competition: str | None = None, negative: Embedding | None = None,
    vocabulary: str | Iterable[str] | None = None,
) -> Query:  # fmt: skip
    """The query of an embedding, each row a prompt, for a detector.

    Args:
        target: the detector's side (`PromptedDetector.target`), or only its space.
        bridge: a fitted bridge, a kind, or None for the default of `choose_bridge`, with which
            the detector's own text encoder reads texts (`bindplug.bridge.TextReader`).
        competition: one of COMPETITIONS; None takes "words" where a bridge is crossed and "none"
            within the detector's own space.
        negative: what regions shall not be, in the embedding's space.
        vocabulary: words to name prompts and regions with, or as in `read_vocabulary`; None as in
            `choose_bridge`.

    Raises BindplugError: no row, an unknown competition, one prompt to compete with itself, or a
    bridge without words where they are needed; SpaceMismatch: no bridge can be built, or a negative
    of another space."""
    check_embedding(embedding)
    target = Target(target) if isinstance(target, str) else target
    vocabulary = as_words(vocabulary)
    if not len(embedding):
        raise BindplugError("an embedding without rows holds no prompt; give at least one")
    if negative is not None and negative.space != embedding.space:
        raise SpaceMismatch(
            f"the prompt is of {embedding.space!r}, the negative of {negative.space!r}"
        )
    if competition is not None:
        check_choice("competition", competition, COMPETITIONS)
    parts = [embedding] if negative is None else [embedding, negative]
    if not target.space:
        return _text_query(parts, bridge, competition, vocabulary)
    if competition is None:
        same = embedding.space == target.space and bridge in (None, "identity")
        competition = "none" if same else "words"
    if competition == "prompts" and sum(map(len, parts)) < 2:
        raise BindplugError("one prompt has no others to compete with; choose words or none")
    bridges = [
        choose_bridge(part, target, bridge, vocabulary, need_words=competition == "words")
        for part in parts
    ]
    readers = [
        text_reader(part, target, b, vocabulary) if bridge is None else None
        for b, part in zip(bridges, parts, strict=True)
    ]
    crossings = [b.cross(part, r) for b, part, r in zip(bridges, parts, readers, strict=True)]
    crossed = [c.rows for c in crossings if c.rows is not None]
    if len(crossed) < len(crossings):
        raise BindplugError("the words bridge leads to models that read text; choose another")
    name = str(bridges[0])
    known = [r for r in readers if r is not None]
    if any(r.found for r in known):
        some = "some " if any(r.missed for r in known) else ""
        name += f", {some}texts as the detector reads them"
    rows = np.concatenate([c.vectors for c in crossed])
    weights, first = None, crossings[0]
    if competition == "words":
        extra = vocabulary is None and not isinstance(bridge, Bridge)
        name_rows, weights = _vocabulary(crossings, background(embedding, target) if extra else ())
        weights = np.maximum(weights, _same_meaning(rows, name_rows))
        rows = np.concatenate([rows, name_rows])
    heard: Iterable[tuple[tuple[str, float], ...]] = ()
    if first.word_probabilities is not None:
        heard = map(tuple, top_words(first.words, first.word_probabilities, EXPLAINED))
    return Query(
        labels=embedding.labels,
        vectors=rows,
        word_probabilities=weights,
        negatives=0 if negative is None else len(negative),
        competition=competition,
        heard=tuple(heard),
        metadata=_metadata(embedding, name, competition),
    )


def _metadata(embedding: Embedding, bridge: str, competition: str) -> dict:
    return {"model": embedding.space, "bridge": bridge, "competition": competition}


def _vocabulary(crossings: list[Crossing], background) -> tuple[np.ndarray, np.ndarray]:
    """The (W, E) rows of all the crossings' words, and (C, W) relative probabilities.

    Args:
        background: further words and their rows, of probability 0: regions are named with all
            words, also where prompts are only put into those that sound. Otherwise whatever is in
            an image would have to be one of these.
    """
    shares = [c.word_probabilities for c in crossings if c.word_probabilities is not None]
    if len(shares) < len(crossings):
        raise BindplugError("this bridge has no words to compete with; choose another competition")
    sources = [(c.words, c.word_rows) for c in crossings] + ([background] if background else [])
    row_of: dict[str, np.ndarray] = {}
    for words, rows in sources:
        row_of.update((w, r) for w, r in zip(words, rows, strict=True) if w not in row_of)
    place = {word: i for i, word in enumerate(row_of)}
    parts = []
    for c, share in zip(crossings, shares, strict=True):
        part = np.zeros((len(share), len(place)), dtype=np.float32)
        part[:, [place[w] for w in c.words]] = share
        parts.append(part / part.max(axis=1, keepdims=True))
    return np.stack(list(row_of.values())), np.concatenate(parts)


def _same_meaning(rows: np.ndarray, names: np.ndarray) -> np.ndarray:
    """(C, W) 1 where a word means nearly the same as a prompt: a region named "kissing cat" is no
    evidence against a cat. Cosines from the words' mean, as text spaces are narrow cones."""
    mean = names.mean(axis=0)
    return (unit(rows - mean) @ unit(names - mean).T >= SAME_MEANING).astype(np.float32)


def _text_query(parts: list[Embedding], bridge, competition, vocabulary) -> Query:
    """The query for a detector that reads: a text is its own words, anything else is put into at
    most three of a vocabulary."""
    if competition not in (None, "none"):
        raise BindplugError("this detector reads text; its only competition is: none")
    if bridge is not None and getattr(bridge, "kind", bridge) != "words":
        raise BindplugError("this detector reads text; the only bridge to it is: words")
    rows = [row for part in parts for row in to_words(part, bridge, vocabulary)]
    texts = tuple(dict.fromkeys(w for row in rows for w, _ in row))
    shares = [[dict(row).get(text, 0.0) for text in texts] for row in rows]
    heard = tuple(map(tuple, rows[: len(parts[0])]))
    summary = "; ".join(", ".join(w for w, _ in row) for row in heard)
    return Query(
        labels=parts[0].labels,
        texts=texts,
        word_probabilities=np.array(shares, dtype=np.float32),
        negatives=len(rows) - len(parts[0]),
        heard=heard,
        metadata=_metadata(parts[0], f"words ({summary})", "none"),
    )
