"""Embeddings in a target's space: texts as the target reads them, everything else by a bridge."""

import logging
import re
from collections.abc import Sequence

import numpy as np

from ..embedding.modalities import MODALITIES
from ..embedding.vectors import Embedding, unit
from ..errors import BindplugError, SpaceMismatch, shorten
from .bridge import Bridge
from .fit import TEMPLATES, Target, choose_bridge, reader_of, source_of, wordings

log = logging.getLogger("bindplug")
SAME = 0.999  # cosine from which a row is the embedding of its label
ARTICLE = re.compile(r"^(a|an|the)\s+(?=\w)", re.IGNORECASE)  # which templates bring along
FILES = tuple(ending for modality in MODALITIES.values() for ending in modality.endings)


def cross(
    embedding: Embedding,
    target: Target | str,
    bridge: Bridge | str | None = None,
    vocabulary: Sequence[str] | None = None,
) -> tuple[Embedding, Bridge]:
    """An embedding in a target's space, and the bridge it took; arguments as `choose_bridge`.

    Where no bridge is named, the target reads texts itself (`TextReader`)."""
    target = Target(target) if isinstance(target, str) else target
    chosen = choose_bridge(embedding, target, bridge, vocabulary)
    reader = text_reader(embedding, target, chosen) if bridge is None else None
    return chosen(embedding, reader), chosen


def text_reader(embedding: Embedding, target: Target, bridge: Bridge) -> "TextReader | None":
    """What reads the texts of an embedding for a bridge to a target; None where nothing is to be
    read: no row is a text, the target is the source, or it reads text anyhow."""
    if bridge.kind == "words" or bridge.source == bridge.target or not _may_hold_text(embedding):
        return None
    return TextReader(embedding, target)


class TextReader:
    """The target's own embeddings of rows that embed a text, for `Bridge.cross`.

    A vocabulary's words stand for a text only as well as they fit it. A row embeds a text where it
    is the source's embedding of its label, as written or as the mean over `TEMPLATES`; the target
    reads the label without its article, as the mean over the templates of its own, or as it has it
    in the words that came with it. A text crosses the bridge, with a warning, where the target
    cannot read it (it is too long, for one), or has words and its text encoder is not here.

    Attributes:
        found: whether it has read any.
    """

    def __init__(self, embedding: Embedding, target: Target):
        self.source, self.target = source_of(embedding, target), target
        rows = () if target.word_rows is None else unit(target.word_rows)
        self.words = dict(zip(target.words, rows, strict=True))
        self.found = False
        self._read: dict[int, tuple[Embedding, dict[int, np.ndarray]]] = {}

    def __call__(self, part: Embedding) -> dict[int, np.ndarray]:
        """(E,) unit vectors by the rows of `part` that embed a text; of sums, none."""
        if id(part) not in self._read:  # which is kept, so that no other takes its place
            texts = {row: ARTICLE.sub("", part.labels[row]) for row in _texts(part, self.source)}
            vectors = self._vectors(list(dict.fromkeys(texts.values())))
            self.found = self.found or bool(vectors)
            found = {row: vectors[text] for row, text in texts.items() if text in vectors}
            self._read[id(part)] = part, found
        return self._read[id(part)][1]

    def _vectors(self, texts: list[str]) -> dict[str, np.ndarray]:
        found = {text: self.words[text] for text in texts if text in self.words}
        if not (left := [text for text in texts if text not in found]):
            return found
        try:
            reader = reader_of(self.target, self.source)
        except SpaceMismatch as err:
            if not self.words:
                raise
            self._warn({text: err for text in left})
            return found
        refused = _refused(reader, left, self.target.templates)
        self._warn(refused)
        left = [text for text in left if text not in refused]
        vectors = _worded(reader, left, self.target.templates) if left else []
        return found | dict(zip(left, vectors, strict=True))

    def _warn(self, refused: dict[str, BindplugError]) -> None:
        for text, error in refused.items():
            log.warning("%r crosses as a mixture of other words: %s", shorten(text), error)


def _may_hold_text(embedding: Embedding) -> bool:
    parts = [e for row in embedding.parts for e, _ in row]
    return embedding.modality in ("text", "mixed") or any(map(_may_hold_text, parts))


def _texts(embedding: Embedding, source) -> list[int]:
    """The rows that embed their labels."""
    if embedding.modality not in ("text", "mixed"):
        return []
    each = zip(embedding.labels, embedding.times, embedding.parts, strict=True)
    rows = [i for i, (label, times, parts) in enumerate(each) if _may_be_text(label, times, parts)]
    if embedding.modality == "mixed":
        rows = [i for i in rows if not embedding.labels[i].lower().endswith(FILES)]
    refused = _refused(source, [embedding.labels[i] for i in rows], TEMPLATES)
    rows = [i for i in rows if embedding.labels[i] not in refused]
    found: list[int] = []
    for templates in (("{}",), TEMPLATES):
        if left := [i for i in rows if i not in found]:
            texts = _worded(source, [embedding.labels[i] for i in left], templates)
            cosines = (embedding.vectors[left] * texts).sum(axis=1)
            found += [i for i, cosine in zip(left, cosines, strict=True) if cosine > SAME]
    return sorted(found)


def _may_be_text(label, times: tuple, parts: tuple) -> bool:
    return isinstance(label, str) and any(map(str.isalnum, label)) and not times and not parts


def _refused(
    embedder, words: Sequence[str], templates: Sequence[str]
) -> dict[str, BindplugError]:
    """The words that an embedder cannot read in the longest template, with the error of each."""
    longest = max(templates, key=len)
    rows = {w: embedder.read("text", longest.replace("{}", w)) for w in dict.fromkeys(words)}
    return {word: row.error for word, row in rows.items() if row.error}


def _worded(embedder, words: Sequence[str], templates: Sequence[str]) -> np.ndarray:
    """(W, D) unit vectors of words, averaged over templates; not kept on disk, as prompts are
    many, and their users' own."""
    vectors = embedder.embed(text=wordings(words, templates)).vectors
    return unit(vectors.reshape(len(words), len(templates), -1).mean(axis=1))
