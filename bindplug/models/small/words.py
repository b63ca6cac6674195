"""Texts to rows of a table of word vectors, in NumPy."""

import logging
import re
import zlib
from functools import lru_cache

import numpy as np

from ...errors import BindplugError, shorten

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

    def __init__(self, keys: np.ndarray, rows: np.ndarray):
        self.keys, self.rows = keys.astype(np.int64), rows.astype(np.int64)

    def __call__(self, text) -> np.ndarray:
        """A text to (32,) int64 rows, 0 where there is no further known word.

        Words that are not known are left out; where none is, a warning is logged, once for a text.

        Raises:
            BindplugError: not a string, or without a letter or digit.
        """
        if not isinstance(text, str):
            raise BindplugError(f"text of type {type(text).__name__}; give a string")
        words = words_of(text)
        if not words:
            raise BindplugError(f"text {shorten(text)!r} holds no word; write what is meant")
        keys = np.array([word_key(word) for word in words])
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        rows = self.rows[at][self.keys[at] == keys][:LENGTH]
        if not len(rows):
            _warn(text)
        out = np.full(LENGTH, UNKNOWN)
        out[: len(rows)] = rows
        return out


@lru_cache(maxsize=256)
def _warn(text: str) -> None:
    """Once for a text, which is encoded in several templates and spaces."""
    log.warning("text %r: none of its words is known; its embedding means little", text)
