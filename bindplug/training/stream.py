"""Batches of shards, and where in the stream a run is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice

import torch

from ..embedding.prefetch import prefetch
from ..errors import BindplugError
from .batches import Batch
from .data.loader import Loader, stack
from .data.rows import Row
from .data.shards import Samples, expand_shards, read_shards, row_of
from .data.tables import Bad
from .processes import Processes
from .settings import Settings


class Stream:
    """The rows of shards in batches.

    Attributes:
        modalities: that the first sample has and that have a tower, image among them.
        epoch_steps: by `--train-num-samples`.
        size: rows of a batch of this process.

    Raises BindplugError: no number of samples, or a first sample without an image and another
    modality that has a tower."""

    def __init__(self, settings: Settings, modalities: list[str], bad: Bad, processes: Processes):
        if not settings.train_num_samples:
            raise BindplugError("shards: give the pairs of an epoch as --train-num-samples")
        shards, self.bad, self.settings = expand_shards(settings.train_data), bad, settings
        first = next((row_of(s, set(modalities)) for s in read_shards(shards, bad)), None)
        found = [m for m in sorted(first.inputs if first else ()) if m in modalities]
        if "image" not in found or len(found) < 2:
            raise BindplugError(
                f"{shards[0]}: its first sample has {', '.join(first.inputs) if first else 'no'} "
                f"input; an image and another of {', '.join(modalities)} are needed"
            )
        self.modalities = found
        self.size = settings.batch_size // processes.count
        if self.size < 1 or self.size * processes.count < 2:
            raise BindplugError(f"--batch-size {settings.batch_size} is too small")
        rows = settings.train_num_samples * settings.replicate
        self.epoch_steps = max(1, int(rows / (self.size * processes.count)))
        self.samples = Samples(
            shards, set(modalities), bad, settings.seed, processes.rank, processes.count,
            lambda row: set(found) <= set(row.inputs),
        )  # fmt: skip

    def batches(self, loader: Loader, position: int) -> Iterator[Batch]:
        """Batches from where `position` rows were taken, endlessly."""
        rows = islice(enumerate(self.samples.rows()), position, None)

        def read(item: tuple[int, Row]):
            at, row = item
            try:
                return (
                    at,
                    row,
                    {m: loader.view(row, m, row.inputs[m][0], at) for m in self.modalities},
                )
            except BindplugError as err:
                return at, row, err

        waiting, failures = [], 0
        for at, row, found in prefetch(read, rows, self.settings.workers, 4 * self.size):
            if isinstance(found, BindplugError):
                self.bad.add(found)
                failures += 1
                if failures > 100:
                    raise BindplugError(f"100 rows in a row cannot be read; the last: {found}")
                continue
            failures = 0
            waiting.append((row, found))
            if len(waiting) == self.size:
                yield self._joined(waiting, at + 1)
                waiting = []

    def _joined(self, waiting: list, position: int) -> Batch:
        names = [row.name for row, _ in waiting]
        inputs = {m: stack([x[m] for _, x in waiting], m, names) for m in self.modalities}
        ids = None
        if self.settings.positives != "pair":
            keys = [
                row.labels if self.settings.positives == "label" else row.group
                for row, _ in waiting
            ]
            ids = torch.tensor([_number(k or name) for k, name in zip(keys, names, strict=True)])
        return Batch(inputs, ids, names, position)


def _number(key) -> int:
    """A number that equal keys have in every process."""

    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:7], "little")
