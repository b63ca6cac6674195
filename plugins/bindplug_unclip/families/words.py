"""Any text-to-image pipeline: it reads, so an embedding is said to it in words."""

from __future__ import annotations

from bindplug.bridge import READING

from .common import settings

SPACES = {0: READING}
REGION = "text"
OPTIONS = ("bridge", "vocabulary")
MOST = 2  # words


def width(pipe) -> int | None:
    return 0 if hasattr(pipe, "text_encoder") and hasattr(pipe, "tokenizer") else None


def norm(width: int) -> float:
    """A word has none."""
    return 1.0


def prompt(words: list[tuple[str, float]], around: str) -> str:
    """The words that weigh at least half of the first, in the prompt: at "{}", or before it."""
    said = " and ".join(w for w, p in words[:MOST] if p >= words[0][1] / 2)
    if "{}" in around:
        return around.replace("{}", said)
    return f"a picture of {said}, {around}" if around else f"a picture of {said}"


__all__ = ["MOST", "OPTIONS", "REGION", "SPACES", "norm", "prompt", "settings", "width"]
