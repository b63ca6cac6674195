"""What a detection is asked, and the record of it that results keep."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import BindplugError
from ..storage.hashing import content_hash
from ..storage.source import source_name

if TYPE_CHECKING:
    from ..embedding.vectors import Embedding


OWN = "own"  # the vocabulary of the checkpoint
NEGATIVES = ("audio", "text", "image")


def negatives_of(question: Mapping) -> list[tuple[str, object]]:
    """(modality, value) of the negative prompts, from "negative_audio" and so on."""
    return [(m, value) for m in NEGATIVES for value in question[f"negative_{m}"]]


def read_asked(question: Mapping, embed: Callable[[list], Embedding]) -> dict:
    """What `PromptedDetector.detect` takes beside a prompt, by the names of the options: threshold,
    top_k, bridge, competition, vocabulary (a name, a file, or OWN) and negative_audio and so on.

    Args:
        embed: (modality, value) pairs to an Embedding with a row for each.

    Raises BindplugError: an unknown vocabulary."""
    from ..bridge.vocabulary import read_vocabulary

    asked = {name: question[name] for name in ("threshold", "top_k", "bridge", "competition")}
    if negatives := negatives_of(question):
        asked["negative"] = embed(negatives)
    if question["vocabulary"] not in (None, OWN):
        asked["vocabulary"] = read_vocabulary(question["vocabulary"])
    return asked


def vocabulary_prompt(embedder, detector, words: Sequence[str] | None) -> Embedding:
    """A whole vocabulary as prompts, as the target models' own demos detect it; None is the
    checkpoint's own, whose rows are the prompts, and no bridge is crossed.
    Raises BindplugError: a detector without a vocabulary of its own."""
    from ..embedding.vectors import Embedding

    if words is None and detector.word_rows is None:
        raise BindplugError(
            f"{detector.name} has no class names of its own; give a vocabulary: lvis, or your own"
        )
    if words is None or (detector.word_rows is not None and tuple(words) == detector.words):
        return Embedding(detector.word_rows, detector.space, "text", detector.words)
    return embedder.embed(text=words)


def describe_question(embedder, detector, prompts, negatives, asked: dict, **settings) -> dict:
    """What results are made from, for their JSON: `detect --resume` compares all of it.

    Args:
        prompts, negatives: (modality, value) pairs, as in `prompt_records`.
        asked: as `PromptedDetector.detect` takes it.
        settings: further ones.
    """
    words, masker = asked.get("vocabulary"), detector.masker
    names = ("threshold", "top_k", "bridge", "competition")
    return {
        "prompts": prompt_records(prompts),
        "negatives": prompt_records(negatives),
        "embedder": embedder.fingerprint,
        "detector": detector.fingerprint or detector.name,
        "masker": masker and (getattr(masker, "fingerprint", "") or masker.name),
        "vocabulary": words and hashlib.sha256("\n".join(words).encode()).hexdigest(),
        "settings": {**{name: asked[name] for name in names}, **settings},
    }


def prompt_records(prompts: Sequence[tuple[str, object]]) -> list[dict]:
    """For a result: each prompt's modality, value and the sha256 of its content. The value is a
    text, a path, or a file object, which is called by its name."""
    return [
        {
            "modality": modality,
            "value": source_name(value, modality),
            "sha256": content_hash(value, is_text=modality == "text"),
        }
        for modality, value in prompts
    ]
