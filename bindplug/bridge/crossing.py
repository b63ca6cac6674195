"""Embeddings in a target's space: texts as the target reads them, everything else by a bridge."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..embedding.vectors import Embedding, by_parts, unit
from ..errors import BindplugError
from .bridge import Bridge
from .fit import TEMPLATES, Target, choose_bridge, reader_of, source_of, wordings

SAME = 0.999  # cosine from which a row is the embedding of its label
ARTICLE = re.compile(r"^(a|an|the)\s+(?=\w)", re.IGNORECASE)  # which templates bring along


def cross(
    embedding: Embedding,
    target: Target | str,
    bridge: Bridge | str | None = None,
    vocabulary: Sequence[str] | None = None,
) -> tuple[Embedding, Bridge]:
    """An embedding in a target's space, and the bridge it took; arguments as `choose_bridge`.

    Where no bridge is named, texts cross as in `read_texts`."""
    target = Target(target) if isinstance(target, str) else target
    chosen = choose_bridge(embedding, target, bridge, vocabulary)
    if bridge is None and chosen.kind != "words":
        crossed = read_texts(embedding, target, chosen)
        if crossed is not None:
            return crossed, chosen
    return chosen(embedding), chosen


def read_texts(embedding: Embedding, target: Target, bridge: Bridge) -> Embedding | None:
    """`bridge(embedding)` with the target's own embedding in place of each row that embeds a text.

    A vocabulary's words stand for a text only as well as they fit it, and the target reads it as it
    is. A row embeds a text where it is the source's embedding of its label, as written or as the
    mean over `TEMPLATES`; of a sum, the parts count.

    Args:
        bridge: from the embedding's space to the target's.

    Returns:
        The rows; None where no text is read: there is none, the target cannot read one of them (it
        is too long, for one), or its vocabulary came with it, without a text encoder.
    """
    if bridge.source == bridge.target or target.word_rows is not None:
        return None
    if not _may_hold_text(embedding):
        return None
    source = source_of(embedding, target)
    reader = reader_of(target, source)
    found = False

    def carry(part: Embedding) -> Embedding:
        nonlocal found
        rows = bridge(part)
        at = _texts(part, source)
        if not at:
            return rows
        texts = [ARTICLE.sub("", part.labels[i]) for i in at]
        vectors = rows.vectors.copy()
        try:
            vectors[at] = _worded(reader, texts, target.templates)
        except BindplugError:  # too long for the target, for one
            return rows
        found = True
        return replace(rows, vectors=vectors)

    crossed = by_parts(embedding, carry)
    return crossed if found else None


def _may_hold_text(embedding: Embedding) -> bool:
    parts = [e for row in embedding.parts for e, _ in row]
    return embedding.modality in ("text", "mixed") or any(map(_may_hold_text, parts))


def _texts(embedding: Embedding, source) -> list[int]:
    """The rows that embed their labels."""
    if embedding.modality not in ("text", "mixed"):
        return []
    rows = [
        i for i, (label, times, parts) in enumerate(
            zip(embedding.labels, embedding.times, embedding.parts, strict=True)
        ) if any(map(str.isalnum, label)) and not times and not parts
    ]  # fmt: skip
    found: list[int] = []
    for templates in (("{}",), TEMPLATES):
        left = [i for i in rows if i not in found]
        if not left:
            break
        try:
            texts = _worded(source, [embedding.labels[i] for i in left], templates)
        except BindplugError:  # a label that is no text which the source reads
            break
        cosines = (embedding.vectors[left] * texts).sum(axis=1)
        found += [i for i, cosine in zip(left, cosines, strict=True) if cosine > SAME]
    return sorted(found)


def _worded(embedder, words: Sequence[str], templates: Sequence[str]) -> np.ndarray:
    """(W, D) unit vectors of words, averaged over templates; not kept on disk, as prompts are
    many."""
    vectors = embedder.embed(text=wordings(words, templates)).vectors
    return unit(vectors.reshape(len(words), len(templates), -1).mean(axis=1))
