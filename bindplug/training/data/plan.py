"""Which rows a step shows: a function of seed and step alone."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...errors import BindplugError
from .rows import Row, Source


@dataclass(frozen=True)
class Shown:
    """A row as a step shows it.

    Attributes:
        source, index: of the row.
        inputs: one of the alternatives of each modality.
        view: number of the view.
        step: number that no other showing of this row has.
    """

    source: int
    index: int
    row: Row
    inputs: dict[str, Hashable]
    view: int
    step: int


class Plan:
    """Batches of an epoch: each source's rows in a random order, batches of all sources mixed.

    Args:
        batch_size: rows of all processes; fewer where a source has fewer, in whole shares.
        replicate: times that an epoch shows each row.
        views: numbers of views to choose from; 0 for one that is new each time.
        processes: of which each takes an equal share of a batch.

    Raises BindplugError: a source of fewer rows than twice the processes."""

    def __init__(
        self, sources: list[Source], batch_size: int, replicate: float = 1.0, views: int = 0,
        seed: int = 0, processes: int = 1,
    ):  # fmt: skip
        self.sources, self.views, self.seed = sources, views, seed
        self.sizes, self.counts = [], []
        for source in sources:
            rows = len(source.rows)
            size = min(batch_size, rows) // processes * processes
            if size < 2:
                what = f"{' and '.join(source.modalities)} (the first: {source.rows[0].name})"
                raise BindplugError(
                    f"{rows} row{'s' * (rows != 1)} with {what}: "
                    f"contrastive training compares rows, so at least {2 * processes} are needed"
                )
            self.sizes.append(size)
            self.counts.append(max(1, int(rows * replicate / size)))
        self.epoch_steps = sum(self.counts)
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    def _make_epoch(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        """(source, rows) of each step of an epoch."""
        rng = np.random.default_rng([self.seed, 1, epoch])
        out = []
        for number, source in enumerate(self.sources):
            size, count = self.sizes[number], self.counts[number]
            rounds = -(-size * count // len(source.rows))
            order = np.concatenate([rng.permutation(len(source.rows)) for _ in range(rounds)])
            out += [(number, order[i * size : (i + 1) * size]) for i in range(count)]
        return [out[i] for i in rng.permutation(len(out))]

    def batch(self, step: int) -> list[Shown]:
        """The rows of a step, of all processes."""
        number, order = self._epoch(step // self.epoch_steps)[step % self.epoch_steps]
        rng = np.random.default_rng([self.seed, 2, step])
        shown = []
        for index in order:
            row = self.sources[number].rows[index]
            inputs = {m: x[int(rng.random() * len(x))] for m, x in row.inputs.items()}
            view = int(rng.random() * self.views) if self.views else step
            shown.append(Shown(number, int(index), row, inputs, view, step))
        return shown

    def substitute(self, shown: Shown) -> Shown:
        """The next row of the same source, for one that cannot be read."""
        rows = self.sources[shown.source].rows
        index = (shown.index + 1) % len(rows)
        inputs = {m: x[0] for m, x in rows[index].inputs.items()}
        return Shown(shown.source, index, rows[index], inputs, shown.view, shown.step)
