"""Fitting bridges from embedders and a vocabulary, and the bridge that a crossing takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from ..embedding.vectors import Embedding, unit
from ..errors import BindplugError, SpaceMismatch, check_choice
from .bridge import (
    KINDS,
    READING,
    READS_NO_TEXT,
    Bridge,
    IdentityBridge,
    LinearBridge,
    VocabularyBridge,
    WordsBridge,
)
from .text_cache import text_vectors
from .vocabulary import as_words, default_vocabulary

DEFAULT = "vocabulary"
TEMPLATES = ("{}", "a {}", "a picture of a {}", "a photo of a {}")
KEPT = 32  # fitted bridges
MAX_WORDS = 3  # that a row is put into, for target models that read
_fitted: dict[tuple, Bridge] = {}  # in the order of use
_lock = Lock()


@dataclass(frozen=True, eq=False)
class Target:
    """Where an embedding is to go: the side of a target model."""

    space: str  # of its rows; READING for a model that reads text
    templates: tuple[str, ...] = TEMPLATES  # wordings of a name in its space, "{}" for the name
    embedder: object = None  # its text encoder; None looks one up by the space
    # A vocabulary (V words) whose rows (V, E) in the space came with the model, so that no text
    # encoder is needed; () and None without.
    words: tuple[str, ...] = ()
    word_rows: np.ndarray | None = None


def word_vectors(
    embedder, words: Sequence[str], templates: Sequence[str] = TEMPLATES, progress: bool = False
) -> np.ndarray:
    """(W, D) unit vectors of words, averaged over templates; kept on disk for the next time."""
    return average(text_vectors(embedder, wordings(words, templates), progress), len(templates))


def average(vectors: np.ndarray, templates: int) -> np.ndarray:
    """(W * T, D) vectors of `wordings` in T templates to (W, D) unit means."""
    return unit(vectors.reshape(-1, templates, vectors.shape[1]).mean(axis=1))


def wordings(words: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Every word in every template, word by word."""
    return [t.replace("{}", w) for w in words for t in templates]


def fit_bridge(
    kind: str,
    source,
    target,
    vocabulary: str | Iterable[str] | None = None,
    target_templates: Sequence[str] = TEMPLATES,
    progress: bool = False,
    centre: Embedding | None = None,
) -> Bridge:
    """Fit a bridge on a vocabulary.

    Args:
        kind: one of `bindplug.bridge.KINDS`.
        source, target: embedders that support text, or names of spaces that an installed embedder
            has; the target of `words` is ignored.
        vocabulary: words, or as in `read_vocabulary`; None takes `default_vocabulary`, for the
            identity none.
        target_templates: wordings of a name in the target space, "{}" for the name.
        centre: for `linear`, an embedding of many inputs of the modality that will cross, in the
            source space: their mean takes the place of the words'.

    Raises BindplugError: an unknown kind, an empty vocabulary, or an embedder without text;
    SpaceMismatch: a space that no installed embedder has, or two spaces for the identity."""
    check_choice("bridge", kind, KINDS)
    source = _embedder(source)
    target = source if kind == "words" else _embedder(target, source)
    _check_identity(kind, source.space, target.space)
    if kind == "identity" and vocabulary is None:
        return IdentityBridge(source.space)
    words = default_vocabulary() if vocabulary is None else as_words(vocabulary)
    if not words:
        raise BindplugError("a bridge needs at least one word")
    for embedder in (source, target):
        if "text" not in embedder.modalities:
            raise BindplugError(f"no bridge from or to {embedder.space!r}: it does not embed text")
    if kind == "words":
        return WordsBridge(source.space, words, word_vectors(source, words, progress=progress))
    there = word_vectors(target, words, target_templates, progress)
    if kind == "identity":
        return IdentityBridge(source.space, words, there)
    here = word_vectors(source, words, progress=progress)
    if kind == "vocabulary":
        return VocabularyBridge(source.space, target.space, words, here, there)
    if centre is not None and centre.space != source.space:
        raise SpaceMismatch(f"the centre is of {centre.space!r}, the source of {source.space!r}")
    mean = None if centre is None else centre.vectors.mean(axis=0)
    return LinearBridge(source.space, target.space, words, here, there, centre=mean)


def choose_bridge(
    embedding: Embedding,
    target: Target,
    bridge: Bridge | str | None = None,
    vocabulary: str | Iterable[str] | None = None,
    need_words: bool = False,
) -> Bridge:
    """The bridge from an embedding's space to a target, fitted where it is not yet.

    Args:
        bridge: a fitted bridge, a kind, or None for the default: identity within a space,
            vocabulary between two, words to a target that reads.
        vocabulary: words to fit on, or as in `read_vocabulary`. None takes the target's own where
            it has some, else the shipped ones; of either, for sounds those that are known by a
            sound of their own.
        need_words: whether the identity has to have words too.

    Raises BindplugError: a fitted bridge together with a vocabulary; SpaceMismatch: no bridge can
    be built, with what is missing."""
    space = target.space
    if isinstance(bridge, Bridge):
        if vocabulary is not None:
            raise BindplugError("a fitted bridge has its own vocabulary; leave out one of the two")
        chosen = bridge
    else:
        same = embedding.space == space
        kind = bridge or ("identity" if same else DEFAULT if space else "words")
        if kind == "identity" and same and not need_words:
            return IdentityBridge(space)
        if kind == "words" and space != READING:
            raise SpaceMismatch(READS_NO_TEXT)
        chosen = _fit(kind, embedding, target, as_words(vocabulary))
    if chosen.target != space:
        raise SpaceMismatch(f"this bridge leads to {chosen.target!r}; one to {space!r} is needed")
    return chosen


def to_words(
    embedding: Embedding,
    bridge: Bridge | str | None = None,
    vocabulary: Sequence[str] | None = None,
) -> list[list[tuple[str, float]]]:
    """For each row at most three words with their shares, which sum to 1.

    A text that is no sum is its own words. Words below a quarter of the first are left out.

    Args:
        bridge, vocabulary: as in `choose_bridge`, for a target that reads.
    """
    if embedding.modality == "text" and not any(embedding.parts):
        return [[(label, 1.0)] for label in embedding.labels]
    chosen = choose_bridge(embedding, Target(READING), bridge or "words", vocabulary)
    out = []
    for i, row in enumerate(chosen.explain(embedding, MAX_WORDS)):
        if embedding.modality == "text" and not embedding.parts[i]:
            out.append([(embedding.labels[i], 1.0)])
            continue
        kept = [(w, p) for w, p in row if p >= row[0][1] / 4]
        total = sum(p for _, p in kept)
        out.append([(w, p / total) for w, p in kept])
    return out


def background(embedding: Embedding, target: Target) -> tuple[tuple[str, ...], np.ndarray]:
    """All words that a region can be named with by default, and their rows in the target space.

    The target's own vocabulary where it has one, else the shipped one."""
    if target.word_rows is not None:
        return target.words, unit(target.word_rows)
    embedder = reader_of(target, source_of(embedding, target))
    bridge = _kept("identity", embedder, embedder, default_vocabulary(), target.templates)
    assert bridge.to_words is not None  # of the words above
    return tuple(bridge.words), bridge.to_words


def _check_identity(kind: str, source: str, target: str) -> None:
    if kind == "identity" and source != target:
        raise SpaceMismatch(
            f"{source!r} and {target!r} are two spaces; "
            "the identity bridge joins only a space with itself; choose vocabulary or linear"
        )


def _fit(kind: str, embedding: Embedding, target: Target, vocabulary) -> Bridge:
    """`fit_bridge` from the embedding's own embedder, kept by what it is made of."""
    _check_identity(kind, embedding.space, target.space)
    source = source_of(embedding, target)
    # The linear map is no choice among words, so all of them are data for it.
    heard = embedding.modality if kind != "linear" else None
    if target.word_rows is None or vocabulary is not None or kind not in ("identity", DEFAULT):
        words = default_vocabulary(heard) if vocabulary is None else vocabulary
        other = source if kind == "words" else reader_of(target, source)
        return _kept(kind, source, other, words, target.templates)
    # Of the target's own words, a sound is put into those that sound.
    sounding = set(default_vocabulary("audio") if heard == "audio" else target.words)
    chosen = [i for i, word in enumerate(target.words) if word in sounding]
    chosen = chosen or list(range(len(target.words)))
    words, rows = [target.words[i] for i in chosen], np.asarray(target.word_rows)[chosen]
    if kind == "identity":
        return IdentityBridge(target.space, words, rows)
    return VocabularyBridge(source.space, target.space, words, word_vectors(source, words), rows)


def _kept(kind: str, source, target, words: Sequence[str], templates: Sequence[str]) -> Bridge:
    """`fit_bridge`, kept by what decides its result: fingerprints, words and templates."""
    key = (kind, source.space, source.fingerprint, target.space, target.fingerprint,
           tuple(words), tuple(templates))  # fmt: skip
    if not (source.fingerprint and target.fingerprint):
        return fit_bridge(kind, source, target, words, templates)
    with _lock:
        bridge = _fitted.pop(key, None) or fit_bridge(kind, source, target, words, templates)
        _fitted[key] = bridge
        if len(_fitted) > KEPT:
            del _fitted[next(iter(_fitted))]
        return bridge


def source_of(embedding: Embedding, target: Target):
    """The embedder of an embedding's space."""
    return embedding.embedder or _embedder(embedding.space, target.embedder)


def reader_of(target: Target, source):
    """The text encoder of a target's space."""
    return target.embedder or _embedder(target.space, source)


def _embedder(space, beside=None):
    """An embedder as it is; of a space's name, the one beside it where it has that space, else an
    installed one, on the same device."""
    if not isinstance(space, str):
        return space
    if beside is not None and beside.space == space:
        return beside
    from ..models.load import embedder_of

    return embedder_of(space, getattr(beside, "device", "auto"))
