"""What a detector is asked: rows that it scores, and how prompts are read off those scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..bridge.bridge import READING, TEMPLATES, Bridge, bridge_to, fitted
from ..bridge.vocabulary import default_vocabulary
from ..embedding.vectors import Embedding, unit
from ..errors import BindplugError, SpaceMismatch

CONTRASTS = ("words", "prompts", "none")
SAME = 0.8  # centred cosine of words that mean nearly the same
SPOKEN = 3  # most words that a prompt is said in, for hosts that read


@dataclass(frozen=True)
class Query:
    """K rows for a host to score regions with, and C prompts read off the scores.

    How the host's logits become probabilities is the `contrast`:

    - "none": the sigmoid of each prompt's own logit, as the hosts do.
    - "prompts": a softmax over the prompts, so that they compete.
    - "words": prompts compete with the words of a vocabulary. A softmax over the words names a
      region; how well that fits is sum_w P(w | prompt) P(w | region), relative to a region that is
      surely the prompt's first word, so that a sound which could be several things finds each;
      words that mean nearly the same as the prompt count fully. The
      geometric mean of it and of the sigmoid counts: of what examples/bridges compares it ranks
      objects nearly as the first alone, and scores stay on the scale of the second.

    Attributes:
        labels: one for each prompt that is looked for.
        vectors: (K, E) unit rows in the host's space: the C prompts, then the words where they
            are contrasted with; for a host that reads, None.
        texts: for a host that reads, its K words.
        weights: (C, words) how far each prompt is each word, or None where there are none.
        negatives: how many of the C, the last ones, are there only to take regions away.
        contrast: one of CONTRASTS.
        about: model, bridge and contrast, for the result.
    """

    labels: tuple[str, ...]
    vectors: np.ndarray | None = None
    texts: tuple[str, ...] = ()
    weights: np.ndarray | None = None
    negatives: int = 0
    contrast: str = "none"
    metadata: dict = field(default_factory=dict)

    def read(self, logits):
        """(..., K) logits, a tensor, to (..., C) probabilities."""
        import torch

        if self.contrast == "prompts":
            return logits.softmax(dim=-1)
        if self.weights is None:
            return logits.sigmoid()
        weights = torch.from_numpy(self.weights.T).to(logits)
        if self.vectors is None:  # a host that reads: words alone
            return logits.sigmoid() @ weights
        prompts = len(self.labels) + self.negatives
        named = logits[..., prompts:].softmax(dim=-1) @ weights
        return (logits[..., :prompts].sigmoid() * named).sqrt()

    def settle(self, scores):
        """(n, C) scores to (n, prompts): a region that is more of a negative counts for none."""
        wanted = scores[:, : len(self.labels)]
        if not self.negatives:
            return wanted
        best = scores[:, len(self.labels) :].amax(dim=1, keepdim=True)
        return wanted * (wanted > best)


def ask(
    embedding: Embedding,
    space: str,
    bridge: Bridge | str | None = None,
    contrast: str | None = None,
    negative: Embedding | None = None,
    vocabulary: Sequence[str] | None = None,
    templates: Sequence[str] = TEMPLATES,
) -> Query:
    """The query of an embedding, each row a prompt, for a host of a space.

    Args:
        bridge: a fitted bridge, a kind, or None for the default of `bindplug.bridge.cross`.
        contrast: one of CONTRASTS; None takes "words" where a bridge is crossed and "none" within
            the host's own space.
        negative: what regions shall not be, in the embedding's space.
        vocabulary: words to name prompts and regions with; None takes the shipped ones, and for
            sounds those of things that sound.
        templates: how names are worded in the host's space.

    Raises:
        BindplugError: an unknown contrast, one prompt to stand against others, or a bridge
            without words where they are needed.
        SpaceMismatch: no bridge can be built, or a negative of another space.
    """
    if negative is not None and negative.space != embedding.space:
        raise SpaceMismatch(
            f"the prompt is of {embedding.space!r}, the negative of {negative.space!r}"
        )
    if contrast not in (None, *CONTRASTS):
        raise BindplugError(f"no contrast {contrast!r}; choose one of {', '.join(CONTRASTS)}")
    if contrast is None:
        same = embedding.space == space and bridge in (None, "identity")
        contrast = "none" if same else "words"
    parts = [embedding] if negative is None else [embedding, negative]
    if contrast == "prompts" and sum(map(len, parts)) < 2:
        raise BindplugError("one prompt has no others to stand against; choose words or none")
    over = [
        bridge_to(part, space, bridge, templates, vocabulary, need_words=contrast == "words")
        for part in parts
    ]
    metadata = {"model": embedding.space, "bridge": str(over[0]), "contrast": contrast}
    shared = {
        "labels": embedding.labels,
        "negatives": 0 if negative is None else len(negative),
        "contrast": contrast,
        "metadata": metadata,
    }
    rows = np.concatenate([b(part).vectors for b, part in zip(over, parts, strict=True)])
    if contrast != "words":
        return Query(vectors=rows, **shared)
    words, names, weights = _named(parts, over)
    if vocabulary is None and not isinstance(bridge, Bridge):
        names, weights = _widen(words, names, weights, space, templates)
    weights = np.maximum(weights, _same(rows, names))
    return Query(vectors=np.concatenate([rows, names]), weights=weights, **shared)


def _named(parts: list[Embedding], bridges: list[Bridge]):
    """The union of the bridges' words, (W, E) on the far side, and (C, W) relative weights."""
    place = {word: i for i, word in enumerate(dict.fromkeys(w for b in bridges for w in b.words))}
    weights = np.zeros((sum(map(len, parts)), len(place)), dtype=np.float32)
    rows, start = [None] * len(place), 0
    for part, bridge in zip(parts, bridges, strict=True):
        index = [place[w] for w in bridge.words]
        weights[start : start + len(part), index] = bridge.weights(part)
        start += len(part)
        for i, row in zip(index, bridge.to_words, strict=True):
            rows[i] = row
    return set(place), np.stack(rows), weights / weights.max(axis=1, keepdims=True)


def _widen(words: set[str], rows, weights, space, templates):
    """Let regions be named by all of the shipped vocabulary, also where prompts are only taken for
    things that sound: otherwise whatever is on a picture must be one of those."""
    background = fitted("identity", space, space, tuple(default_vocabulary()), tuple(templates))
    more = [i for i, word in enumerate(background.words) if word not in words]
    pad = np.zeros((len(weights), len(more)), dtype=np.float32)
    rows = np.concatenate([rows, background.to_words[more]])
    return rows, np.concatenate([weights, pad], axis=1)


def _same(rows: np.ndarray, names: np.ndarray) -> np.ndarray:
    """(C, W) 1 where a word means nearly the same as a prompt on the far side: a region named
    "kissing cat" is no evidence against a cat. Cosines from the words' mean, as text spaces are
    narrow cones."""
    mean = names.mean(axis=0)
    return (unit(rows - mean) @ unit(names - mean).T >= SAME).astype(np.float32)


def ask_in_words(
    embedding: Embedding,
    bridge: Bridge | str | None = None,
    negative: Embedding | None = None,
    vocabulary: Sequence[str] | None = None,
) -> Query:
    """The query of an embedding for a host that reads: a text is its own words, anything else is
    said in at most three of a vocabulary.

    Raises:
        BindplugError: another bridge than `words`.
        SpaceMismatch: no embedder speaks the embedding's space.
    """
    if bridge is not None and getattr(bridge, "kind", bridge) != "words":
        raise BindplugError("this detector reads words; the only bridge to it is: words")
    parts = [embedding] if negative is None else [embedding, negative]
    said = [row for part in parts for row in say(part, bridge, vocabulary)]
    place = {word: i for i, word in enumerate(dict.fromkeys(w for row in said for w, _ in row))}
    weights = np.zeros((len(said), len(place)), dtype=np.float32)
    for row, words in zip(weights, said, strict=True):
        for word, share in words:
            row[place[word]] = share
    spoken = "; ".join(", ".join(w for w, _ in row) for row in said[: len(embedding)])
    metadata = {"model": embedding.space, "bridge": f"words ({spoken})", "contrast": "none"}
    return Query(
        labels=embedding.labels,
        texts=tuple(place),
        weights=weights,
        negatives=len(said) - len(embedding),
        metadata=metadata,
    )


def say(
    embedding: Embedding,
    bridge: Bridge | str | None = None,
    vocabulary: Sequence[str] | None = None,
) -> list[list[tuple[str, float]]]:
    """For each row at most three words with their shares; a text that is no sum is its own words.

    Args:
        bridge: of kind "words", or None. vocabulary: what it says rows in; None as in `cross`.
    """
    if embedding.modality == "text" and not any(embedding.parts):
        return [[(label, 1.0)] for label in embedding.labels]
    rows = bridge_to(embedding, READING, bridge or "words", TEMPLATES, vocabulary)
    out = []
    for row in rows.explain(embedding, SPOKEN):
        kept = [(w, p) for w, p in row if p >= row[0][1] / 4]  # a word far behind only misleads
        total = sum(p for _, p in kept)
        out.append([(w, p / total) for w, p in kept])
    return out
