"""Any text-to-image pipeline: it reads, so an embedding is given to it in words."""

from __future__ import annotations

from bindplug.bridge import to_words
from bindplug.embedding.vectors import Embedding

from .base import Family

MAX_WORDS = 2


class Words(Family):
    """Any pipeline with a text encoder and a tokenizer."""

    region = "text"
    options = ("bridge", "vocabulary")
    reads_text = True

    @classmethod
    def width_of(cls, pipe) -> int | None:
        return 0 if hasattr(pipe, "text_encoder") and hasattr(pipe, "tokenizer") else None

    def condition(
        self, embedding: Embedding, prompts: list[str], num_images: int, norm: float | None,
        **options,
    ) -> dict:  # fmt: skip
        """
        Args:
            embedding: of any space whose embedder supports text. norm: words have none.
            options: `bridge` and `vocabulary` of the words bridge.
        """
        words = to_words(embedding, **options)
        prompts = [_prompt(row, text) for row, text in zip(words, prompts, strict=True)]
        return {"prompt": [text for text in prompts for _ in range(num_images)]}

    def arguments(self, rows, prompts: list[str]) -> dict:
        return {"prompt": prompts}


def _prompt(words: list[tuple[str, float]], around: str) -> str:
    """At most two words, those with at least half of the first one's probability, put in the place
    of "{}" in the prompt, or before it."""
    words = " and ".join(w for w, p in words[:MAX_WORDS] if p >= words[0][1] / 2)
    if "{}" in around:
        return around.replace("{}", words)
    return f"a picture of {words}, {around}" if around else f"a picture of {words}"
