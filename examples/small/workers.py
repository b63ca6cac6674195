"""Batches drawn ahead of the training by other processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from bindplug.training import step_generator

# What is left beside the training itself; none on two cores, where drawing ahead gains nothing.
WORKERS = min(12, len(os.sched_getaffinity(0)) - 4)


class _Steps(Dataset):
    def __init__(self, draw: Callable, seed: int):
        self.draw, self.seed = draw, seed

    def __getitem__(self, step: int) -> Any:
        return self.draw(step, step_generator(self.seed, step))


class Batches:
    """What `draw(step, generator)` gives for each step, the same whatever the number of workers.

    Args:
        draw: makes a batch on the CPU; its randomness comes from the generator alone.
        seed: of the steps' generators.
        steps: after which no batch is asked for.
    """

    def __init__(self, draw: Callable, seed: int, steps: int):
        self.steps, self.end = _Steps(draw, seed), steps
        self.ahead: Iterator | None = None

    def __call__(self, step: int) -> Any:
        """The batch of a step; the steps after the first one asked for must follow in order."""
        if WORKERS < 1:
            return self.steps[step]
        if self.ahead is None:
            # Each tensor would hold an open file otherwise, and there are hundreds.
            torch.multiprocessing.set_sharing_strategy("file_system")
            self.ahead = iter(
                DataLoader(
                    self.steps,
                    batch_size=None,
                    sampler=range(step, self.end),
                    num_workers=WORKERS,
                    multiprocessing_context="fork",
                    worker_init_fn=lambda _: torch.set_num_threads(1),
                )
            )
        return next(self.ahead)
