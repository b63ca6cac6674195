"""The small models, the unseen recordings, and the judge, which was trained apart from every
embedder: what all parts of the study share."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from data import Pictures, concepts
from evaluate import mean_pictures, sounds_of_val
from judge import load_judge

import bindplug
from bindplug.embedding import Embedding
from bindplug.transforms.vision import normalise


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
        """One row a concept: the mean embedding of its training pictures."""
        train = Pictures("pictures.csv", "train", 64, self.names)
        return mean_pictures(self.embedder, train, self.names)

    @cached_property
    def other(self):
        """Another encoder of pictures than the one that conditions."""
        return bindplug.load_embedder("tiny-clip", "cpu")

    @torch.inference_mode()
    def likeliest(self, pictures: list) -> torch.Tensor:
        """(N, 5) the judge's likeliest concepts."""
        x = torch.stack([torch.from_numpy(np.array(p)) for p in pictures]).permute(0, 3, 1, 2)
        return self.judge(normalise(x.float() / 255)).topk(5, dim=1).indices

    def pairs(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Recordings, and for each a concept that is another than its own."""
        rng = np.random.default_rng(0)
        sounds = rng.choice(len(self.heard), count, replace=False)
        return sounds, np.array([
            rng.choice([k for k, n in enumerate(self.names) if n != self.concept[i]])
            for i in sounds
        ])  # fmt: skip
