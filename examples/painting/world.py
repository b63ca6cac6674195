"""The small models, the unseen recordings, and the judge, which was trained apart from every
embedder: what all parts of the study share."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from data import Pictures, concepts
from evaluate import mean_pictures, open_trained, sounds_of_val
from judge import likeliest, load_judge
from package import DETIC, UNCLIP

import bindplug
from bindplug.embedding.vectors import Embedding
from bindplug.models.small.network import open_folder


class World:
    """
    Args:
        weights: a folder of packed weights.

    Attributes:
        names: the 66 concepts. heard: the unseen recordings. concept: the name of each.
    """

    def __init__(self, weights: Path):
        self.names, self.judge = concepts(), load_judge()
        self.weights, self.embedder = weights, open_trained(weights)
        self.generator = bindplug.load_generator("unclip", f"local:{weights / UNCLIP}", "cpu")
        self.heard, self.concept = sounds_of_val(self.embedder)

    @property
    def wanted(self) -> list[int]:
        return [self.names.index(c) for c in self.concept]

    @cached_property
    def means(self) -> Embedding:
        """One row a concept: the mean embedding of its training images."""
        train = Pictures("pictures.csv", "train", 128, self.names)
        return mean_pictures(self.embedder, train, self.names)

    @cached_property
    def other(self):
        """Another encoder of images than the one that conditions."""
        return open_folder(self.weights / DETIC / "clip")

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
