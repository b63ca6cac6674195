"""Words that training says little about, and the better known word whose vector each takes.

spaCy's table gives one vector to many words (cat and dog, piano and accompaniment), so a word that
training never met, or met in a definition alone, is told badly from others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

import torch.nn.functional as F
from torch import Tensor

from bindplug.models.small.words import words_of

IRREGULAR = {
    "children": "child", "dice": "die", "feet": "foot", "geese": "goose", "lice": "louse",
    "mice": "mouse", "oxen": "ox", "teeth": "tooth",
}  # fmt: skip
VERBS = {"does", "saves"}  # which only look like plurals, of doe and safe
LIKENESS = 0.5  # least cosine of a definition and the name that stands in for its word
PART = 3  # letters of the shortest part of a compound


def singulars(word: str) -> list[str]:
    """What a word may be the plural of, by its spelling; nothing for most other words."""
    if word in IRREGULAR:
        return [IRREGULAR[word]]
    if word.endswith("men"):
        return [word[:-2] + "an"]
    if len(word) <= 3 or not word.endswith("s") or word.endswith("ss") or word in VERBS:
        return []
    if word.endswith("ves"):
        return [word[:-1], word[:-3] + "f", word[:-3] + "fe"]
    if word.endswith("ies"):
        return [word[:-3] + "y", word[:-1]]
    if re.search("(s|x|z|ch|sh|o)es$", word):
        return [word[:-2], word[:-1]]
    return [word[:-1]]


def plural(word: str) -> str:
    """The regular plural of a noun."""
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    if word.endswith("man"):
        return word[:-2] + "en"
    return word + ("es" if re.search("(s|x|z|ch|sh)$", word) else "s")


class StandIns:
    """Which word stands in for another.

    Args:
        words: all that are known.
        own: those that have a vector of their own.
        names: texts that are names. A word of a name needs nobody; only a name of one word stands
            in for the sense of a definition or of a compound.
        pairs: (lemma, definition) of a dictionary.
    """

    def __init__(
        self, words: Collection[str], own: set[str], names: Iterable[str],
        pairs: Iterable[tuple[str, str]],
    ):  # fmt: skip
        read = [words_of(name) for name in names]
        self.own, self.named = own, {w for of in read for w in of}
        self.names = {of[0] for of in read if len(of) == 1} & own
        last_words = {of[-1] for of in read if of}
        self.words = {*words, *self.named}
        self.meanings: dict[str, list[str]] = {}
        for lemma, meaning in pairs:
            if len(of := words_of(lemma)) == 1:
                self.meanings.setdefault(of[0], []).append(meaning)
        self.nouns = last_words | self.meanings.keys()

    def find(self, embed: Callable[[list[str]], Tensor]) -> dict[str, str]:
        """Of each word that has one, its stand-in.

        Args:
            embed: texts to (N, D) unit vectors.
        """
        found = self.of_definitions(embed)
        found |= self.of_plurals(found)
        found |= self.of_compounds(found)
        found |= self.of_plurals(found)
        return found | self.unknown_plurals(found)

    def of_definitions(self, embed: Callable[[list[str]], Tensor]) -> dict[str, str]:
        """The name that is nearest to a word's definitions, where it is nearer than the word."""
        words = sorted(self.meanings.keys() - self.named - self.own)
        names = sorted(self.names)
        name_rows = embed(names)
        out = {}
        for word, row in zip(words, embed(words), strict=True):
            meaning = F.normalize(embed(self.meanings[word]).mean(0), dim=0)
            likeness, best = (name_rows @ meaning).max(0)
            if likeness > LIKENESS and likeness > row @ meaning:
                out[word] = names[best]
        return out

    def of_compounds(self, found: Collection[str]) -> dict[str, str]:
        """The last part of a word that is written together, as "drum" of "kettledrum"."""
        out = {}
        for word in sorted(self.words - self.named - self.own - self.meanings.keys() - {*found}):
            if self.singulars(word, self.words):
                continue  # what stands in for its singular does for a plural too
            parts = ((word[:at], word[at:]) for at in range(PART, len(word) - PART + 1))
            for first, last in parts:
                if first in self.named and last in self.names:
                    out[word] = last
                    break
        return out

    def of_plurals(self, found: dict[str, str]) -> dict[str, str]:
        """The singular, or what stands in for it, where training met it more."""
        out = {}
        for word in sorted(self.words - self.named - found.keys()):
            for one in self.singulars(word, found):
                met = one in self.own and (one in self.named or word not in self.own)
                if one in found or met:
                    out[word] = found.get(one, one)
                    break
        return out

    def unknown_plurals(self, found: dict[str, str]) -> dict[str, str]:
        """Of words that are known, the plurals that are not."""
        known = sorted((self.named & self.own) | found.keys())
        ones = [w for w in known if not self.singulars(w, found)]
        return {plural(w): found.get(w, w) for w in ones if plural(w) not in self.words}

    def singulars(self, word: str, others: Collection[str]) -> list[str]:
        """The nouns and `others` that a word may be the plural of; names first, as "vases" are of a
        vase sooner than of a vas."""
        known = [w for w in singulars(word) if w in self.nouns or w in others]
        return sorted(known, key=lambda w: (w not in self.names, w not in self.named))
