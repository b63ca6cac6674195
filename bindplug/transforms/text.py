"""CLIP's byte-pair encoding (Radford et al. 2021), read from the merges that open_clip ships."""

from __future__ import annotations

import gzip
import html
from functools import cached_property, lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import BindplugError, MissingDependency

if TYPE_CHECKING:
    from ..imagebind.config import TextConfig

PATTERN = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def merges_file() -> Path:
    """The merges inside the open_clip package, found without importing it (which is slow)."""
    spec = find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency("open_clip is not installed; run: pip install open_clip_torch")
    return Path(spec.submodule_search_locations[0], "bpe_simple_vocab_16e6.txt.gz")


def _byte_symbols() -> dict[int, str]:
    """A printable character for every byte, GPT-2's way."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    plain += range(ord("®"), ord("ÿ") + 1)
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


class Tokenizer:
    """Text to token ids.

    Args:
        vocab_size: 49408 is CLIP's; a smaller one keeps CLIP's first merges, so rarer words fall
            into more pieces. Start and end of text are always the last two ids.
        context_length: what is longer is cut.
        truncation: "current" keeps the end of text in a text that is cut, "old" does not, as the
            reference did before November 2025.
    """

    def __init__(
        self, vocab_size: int = 49408, context_length: int = 77, truncation: str = "current"
    ):
        if truncation not in ("current", "old"):
            raise BindplugError(f"truncation {truncation!r}; choose current or old")
        self.vocab_size, self.context_length = vocab_size, context_length
        self.truncation = truncation
        self.start, self.end = vocab_size - 2, vocab_size - 1
        self._cache: dict[str, list[int]] = {}

    @cached_property
    def _bytes(self) -> dict[int, str]:
        return _byte_symbols()

    @cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        with gzip.open(merges_file(), "rt", encoding="utf-8") as file:
            lines = file.read().split("\n")
        merges = lines[1 : self.vocab_size - 2 * 256 - 2 + 1]
        return {tuple(line.split()): rank for rank, line in enumerate(merges)}

    @cached_property
    def _ids(self) -> dict[str, int]:
        symbols = list(self._bytes.values())
        symbols += [s + "</w>" for s in symbols] + ["".join(pair) for pair in self._ranks]
        return {symbol: i for i, symbol in enumerate(symbols)}

    @cached_property
    def _pattern(self):
        import regex

        return regex.compile(PATTERN, regex.IGNORECASE)

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without start, end and padding."""
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
        text = " ".join(text.split()).strip().lower()
        return [i for word in self._pattern.findall(text) for i in self._word(word)]

    def _word(self, word: str) -> list[int]:
        if word == "<|startoftext|>":
            return [self.start]
        if word == "<|endoftext|>":
            return [self.end]
        if word not in self._cache:
            symbols = [self._bytes[b] for b in word.encode("utf-8")]
            symbols[-1] += "</w>"
            self._cache[word] = [self._ids[s] for s in self._merge(symbols)]
        return self._cache[word]

    def _merge(self, symbols: list[str]) -> list[str]:
        while len(symbols) > 1:
            pairs = set(pairwise(symbols))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            merged, i = [], 0
            while i < len(symbols):
                if tuple(symbols[i : i + 2]) == best:
                    merged.append("".join(best))
                    i += 2
                else:
                    merged.append(symbols[i])
                    i += 1
            symbols = merged
        return symbols

    def __call__(self, texts: list[str]) -> Tensor:
        """(B, context_length) int64: start, text, end, then zeros."""
        out = torch.zeros(len(texts), self.context_length, dtype=torch.long)
        for row, text in zip(out, texts, strict=True):
            ids = [self.start, *self.encode(text), self.end][: self.context_length]
            if self.truncation == "current":
                ids[-1] = self.end
            row[: len(ids)] = torch.tensor(ids)
        return out


@lru_cache(maxsize=8)
def _tokenizer(vocab_size: int, context_length: int, truncation: str) -> Tokenizer:
    return Tokenizer(vocab_size, context_length, truncation)


def transform_text(texts: list[str], config: TextConfig, truncation: str = "current") -> Tensor:
    """Strings to (B, context_length) int64 token ids; `truncation` as in `Tokenizer`."""
    return _tokenizer(config.vocab_size, config.context_length, truncation)(texts)


def transform_one_text(text: str, config: TextConfig, truncation: str = "current") -> Tensor:
    """A string to (context_length,) int64 token ids.

    Raises:
        BindplugError: not a string.
    """
    if not isinstance(text, str):
        raise BindplugError(f"text is a string, got {type(text).__name__}")
    return transform_text([text], config, truncation)[0]
