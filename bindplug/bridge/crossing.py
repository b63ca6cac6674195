"""Embeddings in a target's space: texts as the target reads them, everything else by a bridge."""

import logging
import re
from collections.abc import Iterable, Sequence

import numpy as np

from ..embedding.modalities import MODALITIES
from ..embedding.vectors import Embedding, unit
from ..errors import BindplugError, shorten
from .bridge import Bridge
from .fit import TEMPLATES, Target, average, choose_bridge, reader_of, source_of, wordings

log = logging.getLogger("bindplug")
SAME = 0.999  # cosine from which a row is the embedding of its label
ARTICLE = re.compile(r"^(a|an|the)\s+(?=\w)", re.IGNORECASE)  # which templates bring along
FILES = tuple(ending for modality in MODALITIES.values() for ending in modality.endings)
READABLE = "a dog"  # by every text encoder


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
    reader = text_reader(embedding, target, chosen, vocabulary) if bridge is None else None
    return chosen(embedding, reader), chosen


def text_reader(
    embedding: Embedding, target: Target, bridge: Bridge, vocabulary: Sequence[str] | None = None
) -> "TextReader | None":
    """What reads an embedding's texts for a bridge to a target, with the arguments of
    `choose_bridge`; None where no row can be a text, the target is the source, or it reads text
    anyhow."""
    if bridge.kind == "words" or bridge.source == bridge.target or not _may_hold_text(embedding):
        return None
    return TextReader(embedding, target, target.word_rows is None or vocabulary is not None)


class TextReader:
    """The target's own embeddings of rows that embed a text, for `Bridge.cross`.

    A vocabulary's words stand for a text only as well as they fit it. A row embeds a text where it
    is the source's embedding of its label, as written or as the mean over `TEMPLATES`. If the
    target has a vocabulary of its own, that text's row is taken from there. Otherwise the target's
    text encoder embeds the label, without its article, in the target's templates, and their mean
    is taken. A text that cannot be read crosses the bridge, with a warning.

    Args:
        with_encoder: False where the vocabulary came with the target in place of a text encoder,
            so that no weights are downloaded for a prompt.

    Attributes:
        found: the texts that were read; `missed` those that crossed.
    """

    def __init__(self, embedding: Embedding, target: Target, with_encoder: bool = True):
        self.source, self.space = source_of(embedding, target), target.space
        self._as_written = _Encoder(self.source, ("{}",))
        self._averaged = _Encoder(self.source, TEMPLATES)
        self._own: dict[str, np.ndarray] = {}
        if target.word_rows is not None:
            names = [word.casefold() for word in target.words]
            self._own = dict(zip(names, unit(target.word_rows), strict=True))
        self._encoder = None
        if with_encoder:
            self._encoder = _Encoder(reader_of(target, self.source), target.templates)
        self.found: set[str] = set()
        self.missed: set[str] = set()

    def __call__(self, part: Embedding) -> dict[int, np.ndarray]:
        """(E,) unit vectors by the rows of `part` that embed a text; of sums, none."""
        texts = {row: ARTICLE.sub("", part.labels[row]).strip() for row in self._texts(part)}
        vectors = self._vectors(dict.fromkeys(texts.values()))
        return {row: vectors[text] for row, text in texts.items() if text in vectors}

    def _texts(self, part: Embedding) -> list[int]:
        """The rows that embed their labels."""
        if part.modality not in ("text", "mixed"):
            return []
        each = enumerate(zip(part.labels, part.times, part.parts, strict=True))
        left = [i for i, (label, times, parts) in each if _may_be_text(label, times or parts)]
        if part.modality == "mixed":
            left = [i for i in left if not part.labels[i].lower().endswith(FILES)]
        found: list[int] = []
        for encoder in (self._as_written, self._averaged):
            vectors, _ = encoder(part.labels[i] for i in left)
            same = {i for i in left if part.labels[i] in vectors
                    and vectors[part.labels[i]] @ part.vectors[i] > SAME}  # fmt: skip
            found += same
            left = [i for i in left if i not in same]
        return sorted(found)

    def _vectors(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        vectors = {t: self._own[t.casefold()] for t in texts if t.casefold() in self._own}
        left = [t for t in texts if t not in vectors]
        if self._encoder is None:
            reason = "it is none of the model's names; give a vocabulary to have it read"
            refused = dict.fromkeys(left, reason)
        else:
            read, errors = self._encoder(left)
            vectors, refused = vectors | read, {text: str(err) for text, err in errors.items()}
        for text, reason in refused.items():
            if text not in self.missed:
                log.warning(
                    "text %r becomes a mixture of other words in %s: %s",
                    shorten(text), self.space, reason,
                )  # fmt: skip
        self.found |= vectors.keys()
        self.missed |= refused.keys()
        return vectors


class _Encoder:
    """Texts in an embedder's space, averaged over templates; each is encoded once. They are not
    kept on disk, as prompts are many, and their users' own."""

    def __init__(self, embedder, templates: Sequence[str]):
        self.embedder, self.templates = embedder, templates
        self.vectors: dict[str, np.ndarray] = {}
        self.errors: dict[str, BindplugError] = {}

    def __call__(
        self, texts: Iterable[str]
    ) -> tuple[dict[str, np.ndarray], dict[str, BindplugError]]:
        """(D,) unit vectors by text, and of texts that cannot be read the error.
        Raises BindplugError: the embedder cannot be loaded."""
        texts = list(dict.fromkeys(texts))
        new = [t for t in texts if t not in self.vectors and t not in self.errors]
        if new:
            self._encode(new)
        known = {t: self.vectors[t] for t in texts if t in self.vectors}
        return known, {t: self.errors[t] for t in texts if t in self.errors}

    def _encode(self, texts: list[str]) -> None:
        try:
            rows = self.embedder.embed(text=wordings(texts, self.templates)).vectors
        except BindplugError as err:
            self.embedder.embed(text=READABLE)  # raises what is not the texts' fault
            if len(texts) == 1:
                self.errors[texts[0]] = err
                return
            for text in texts:
                self._encode([text])
            return
        self.vectors.update(zip(texts, average(rows, len(self.templates)), strict=True))


def _may_hold_text(embedding: Embedding) -> bool:
    parts = [e for row in embedding.parts for e, _ in row]
    return embedding.modality in ("text", "mixed") or any(map(_may_hold_text, parts))


def _may_be_text(label, clips_or_parts: tuple) -> bool:
    return isinstance(label, str) and any(map(str.isalnum, label)) and not clips_or_parts
