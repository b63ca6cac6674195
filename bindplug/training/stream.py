"""Batches of shards, and where in the stream a run is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice

from ..embedding.prefetch import prefetch
from ..errors import BindplugError
from .batches import TRIES, Batch, Item, give_up, join
from .data.loader import Loader
from .data.rows import Bad, Row
from .data.shards import Samples, expand_shards, first_modalities
from .processes import Processes
from .settings import Settings


class Stream:
    """The rows of shards in batches.

    Attributes:
        modalities: that the first sample that can be used has, and that have a tower.
        epoch_steps: by `--train-num-samples`.
        size: rows of a batch of this process.

    Raises BindplugError: no number of samples, or as `first_modalities`."""

    def __init__(self, settings: Settings, modalities: list[str], bad: Bad, processes: Processes):
        if not settings.train_num_samples:
            raise BindplugError("shards: give the pairs of an epoch as --train-num-samples")
        shards, self.bad, self.settings = expand_shards(settings.train_data), bad, settings
        self.modalities = found = first_modalities(shards, modalities, bad)
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

        def read(item: tuple[int, Row]) -> tuple[int, Item | BindplugError]:
            at, row = item
            try:
                return at, self._read(loader, row, at)
            except BindplugError as err:
                return at, err

        waiting, failures = [], 0
        for at, item in prefetch(read, rows, self.settings.workers, 4 * self.size):
            if isinstance(item, BindplugError):
                self.bad.add(item)
                failures += 1
                if failures == TRIES:
                    raise give_up(item)
                continue
            failures = 0
            waiting.append(item)
            if len(waiting) == self.size:
                yield join(waiting, at + 1)
                waiting = []

    def _read(self, loader: Loader, row: Row, at: int) -> Item:
        inputs = {m: row.inputs[m][0] for m in self.modalities}
        tensors = {m: loader.view(row, m, value, at) for m, value in inputs.items()}
        if self.settings.positives == "pair":  # a batch may show a row of a small set twice
            return Item(row.name, inputs, tensors, _number(row.name))
        key = tuple(sorted(row.labels)) if self.settings.positives == "label" else row.group
        return Item(row.name, inputs, tensors, _number(key or row.name))


def _number(key) -> int:
    """A number that equal keys have in every process."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:7], "little")
