"""Text to features: a weighted mean of word vectors, and a hidden layer."""

from __future__ import annotations

import logging
import re
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import BindplugError

log = logging.getLogger("bindplug")

LENGTH = 32  # words that are read
UNKNOWN = 0  # row of the table


def words_of(text: str) -> list[str]:
    """The words of a text: runs of letters and digits, in lower case, without 's."""
    return re.findall(r"[^\W_]+", text.lower().replace("'s", "").replace("’s", ""))


def word_key(word: str) -> int:
    """A word's CRC-32, by which the table is searched."""
    return zlib.crc32(word.encode())


class WordTable:
    """Which row of the word vectors a word has.

    Args:
        keys: (N,) uint32, ascending, `word_key` of every known word.
        rows: (N,) uint16, the row of each.
    """

    def __init__(self, keys: Tensor, rows: Tensor):
        self.keys, self.rows = keys.numpy().astype(np.int64), rows.numpy()

    def __call__(self, text) -> Tensor:
        """A text to (32,) int64 rows, 0 where there is no further known word.

        Words that are not known are left out; where none is, a warning is logged.

        Raises:
            BindplugError: not a string, or without a letter or digit.
        """
        if not isinstance(text, str):
            raise BindplugError(f"text of type {type(text).__name__}; give a string")
        words = words_of(text)
        if not words:
            raise BindplugError(f"text {text!r} holds no word; write what is meant")
        keys = np.array([word_key(word) for word in words])
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        rows = self.rows[at][self.keys[at] == keys][:LENGTH]
        if not len(rows):
            log.warning("text %r: none of its words is known; its embedding means little", text)
        out = torch.full((LENGTH,), UNKNOWN)
        out[: len(rows)] = torch.from_numpy(rows.astype(np.int64))
        return out


def with_hidden(hidden: nn.Linear, mean: Tensor) -> Tensor:
    """(B, width) means of word vectors to (B, units + width): a layer of GELUs, and the means."""
    return torch.cat([F.gelu(hidden(mean)), mean], dim=-1)


class TextTrunk(nn.Module):
    """(B, L) int64 rows to (B, hidden + width) features: the mean of the words' vectors, weighted
    by softmax(weights), and before it a hidden layer of GELUs, which sets many names apart.

    Args:
        rows: of the table; row 0 stands for no word.
        width: of a vector.
        hidden: units of the layer.
    """

    def __init__(self, rows: int, width: int, hidden: int):
        super().__init__()
        self.width = hidden + width
        self.vectors, self.weights = nn.Embedding(rows, width), nn.Embedding(rows, 1)
        self.hidden = nn.Linear(width, hidden)

    def forward(self, ids: Tensor) -> Tensor:
        share = self.weights(ids).float().masked_fill(ids[..., None] == UNKNOWN, -1e9)
        share = share.softmax(dim=1).to(self.vectors.weight.dtype)
        return with_hidden(self.hidden, (share * self.vectors(ids)).sum(dim=1))
