"""The small models, the unseen recordings, and the judge, which was trained apart from every
embedder: what all parts of the study share."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from data import Pictures, concepts
from evaluate import mean_pictures, sounds_of_val
from judge import likeliest, load_judge

import bindplug
from bindplug.embedding.vectors import Embedding


class World:
    """
    Attributes:
        names: the 66 concepts. heard: the unseen recordings. concept: the name of each.
    """

    def __init__(self):
        self.names, self.judge = concepts(), load_judge()
        self.embedder = bindplug.load_embedder("tiny", "cpu")
        self.generator = bindplug.load_generator("unclip", "tiny", "cpu")
        self.heard, self.concept = sounds_of_val(self.embedder)

    @property
    def wanted(self) -> list[int]:
        return [self.names.index(c) for c in self.concept]

    @cached_property
    def means(self) -> Embedding:
        """One row a concept: the mean embedding of its training images."""
        train = Pictures("pictures.csv", "train", 64, self.names)
        return mean_pictures(self.embedder, train, self.names)

    @cached_property
    def other(self):
        """Another encoder of images than the one that conditions."""
        return bindplug.load_embedder("tiny-clip", "cpu")

    def likeliest(self, pictures: list) -> np.ndarray:
        """(N, 5) the judge's likeliest concepts."""
        return likeliest(self.judge, pictures).numpy()

    def pairs(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Recordings, and for each a concept that is another than its own."""
        rng = np.random.default_rng(0)
        sounds = rng.choice(len(self.heard), count, replace=False)
        return sounds, np.array([
            rng.choice([k for k, n in enumerate(self.names) if n != self.concept[i]])
            for i in sounds
        ])  # fmt: skip
