"""CLIP's byte-pair encoding (Radford et al. 2021), read from the merges that open_clip ships."""

from __future__ import annotations

import gzip
import html
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BindplugError, MissingDependency, check_choice
from ..imagebind.config import TextConfig

if TYPE_CHECKING:
    from torch import Tensor

PATTERN = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def open_clip_file(name: str) -> Path:
    """A file of the open_clip package, found without importing the package (which is slow).
    Raises MissingDependency: open_clip is not installed."""
    spec = find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency("open_clip is not installed; run: pip install open_clip_torch")
    return Path(spec.submodule_search_locations[0], name)


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
        self.vocab_size, self.context_length = vocab_size, context_length
        self.truncation = truncation
        self.start, self.end = vocab_size - 2, vocab_size - 1

    @cached_property
    def _merges(self) -> list[tuple[str, str]]:
        with gzip.open(
            open_clip_file("bpe_simple_vocab_16e6.txt.gz"), "rt", encoding="utf-8"
        ) as file:
            lines = file.read().split("\n")
        return [tuple(line.split()) for line in lines[1 : self.vocab_size - 2 * 256 - 2 + 1]]

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each piece but start and end: bytes (as GPT-2's characters), bytes that end a
        word, and what merges make of them."""
        from tokenizers.pre_tokenizers import ByteLevel

        symbols = sorted(ByteLevel.alphabet())
        symbols += [s + "</w>" for s in symbols] + ["".join(pair) for pair in self._merges]
        return {symbol: i for i, symbol in enumerate(symbols)}

    @cached_property
    def _pieces(self):
        """A word to its ids."""
        from tokenizers.models import BPE
        from tokenizers.pre_tokenizers import ByteLevel

        model = BPE(self.ids, self._merges, end_of_word_suffix="</w>")
        to_bytes = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str

        def pieces(word: str) -> list[int]:
            if word in ("<|startoftext|>", "<|endoftext|>"):
                return [self.start if word == "<|startoftext|>" else self.end]
            return [token.id for part, _ in to_bytes(word) for token in model.tokenize(part)]

        return pieces

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without start, end and padding."""
        import ftfy
        import regex

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
        text = " ".join(text.split()).lower()
        words = regex.findall(PATTERN, text, regex.IGNORECASE)
        return [i for word in words for i in self._pieces(word)]

    def arrays(self, texts: list[str]) -> np.ndarray:
        """(B, context_length) int64: start, text, end, then zeros."""
        out = np.zeros((len(texts), self.context_length), np.int64)
        for row, text in zip(out, texts, strict=True):
            ids = [self.start, *self.encode(text), self.end][: self.context_length]
            if self.truncation == "current":
                ids[-1] = self.end
            row[: len(ids)] = ids
        return out

    def __call__(self, texts: list[str]) -> Tensor:
        """`arrays` as a tensor."""
        import torch

        return torch.from_numpy(self.arrays(texts))


@lru_cache(maxsize=8)
def _tokenizer(vocab_size: int, context_length: int, truncation: str) -> Tokenizer:
    return Tokenizer(vocab_size, context_length, truncation)


def transform_text(texts: list[str], config: TextConfig, truncation: str = "current") -> Tensor:
    """Strings to (B, context_length) int64 token ids; `truncation` as in `Tokenizer`."""
    check_choice("truncation", truncation, ("current", "old"))
    return _tokenizer(config.vocab_size, config.context_length, truncation)(texts)


def text_array(text: str, config: TextConfig, truncation: str = "current") -> np.ndarray:
    """A string to (context_length,) int64 token ids; BindplugError where it is no string."""
    if not isinstance(text, str):
        raise BindplugError(f"text is a string, got {type(text).__name__}")
    check_choice("truncation", truncation, ("current", "old"))
    return _tokenizer(config.vocab_size, config.context_length, truncation).arrays([text])[0]


def transform_one_text(text: str, config: TextConfig, truncation: str = "current") -> Tensor:
    """`text_array` as a tensor."""
    import torch

    return torch.from_numpy(text_array(text, config, truncation))
