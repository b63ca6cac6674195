"""Batches of steps, decoded by threads ahead of the step that needs them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..embedding.prefetch import prefetch
from ..errors import BindplugError
from .data.loader import Loader, stack
from .data.plan import Plan, Shown
from .data.rows import Bad
from .feature_cache import Features
from .processes import Processes

TRIES = 100  # rows one after another that cannot be read, before it is given up


@dataclass
class Batch:
    """This process's rows of a step.

    Attributes:
        inputs: of each modality (B, ...) clips, or (B, W) features where they are cached.
        ids: (B,) numbers that are equal for rows that belong together; None for pairs alone.
        names: what each row is called in messages.
        position: of a stream, rows that were taken from it so far.
    """

    inputs: dict[str, Tensor]
    ids: Tensor | None
    names: list[str]
    position: int = 0


@dataclass
class Item:
    """A row that was read.

    Attributes:
        inputs: of each modality the one that is shown.
        tensors: what was read of them, a clip or features each.
        id: as in `Batch.ids`.
    """

    name: str
    inputs: dict[str, Hashable]
    tensors: dict[str, Tensor]
    id: int | None


def join(items: list[Item], position: int = 0) -> Batch:
    """A batch of rows. Raises BindplugError: clips of one modality have two shapes."""
    inputs = {
        m: stack([x.tensors[m] for x in items], m, [str(x.inputs[m]) for x in items])
        for m in items[0].tensors
    }
    has_ids = items[0].id is not None
    ids = torch.tensor([x.id for x in items]) if has_ids else None
    return Batch(inputs, ids, [x.name for x in items], position)


def give_up(last: BindplugError) -> BindplugError:
    """The error after `TRIES` rows that cannot be read."""
    return BindplugError(f"{TRIES} rows one after another cannot be read; the last: {last}")


@dataclass
class Reader:
    """Rows to tensors: cached features, else clips.

    Attributes:
        features: of the modalities whose features are cached.
        ids: of each source's rows; () for pairs alone.
    """

    loader: Loader
    features: dict[str, Features]
    bad: Bad
    ids: tuple[list[int], ...] = ()

    def read(self, shown: Shown) -> dict[str, Tensor]:
        """One row's clip or features of each modality.
        Raises BindplugError: an input that cannot be read."""
        out = {}
        for modality, value in shown.inputs.items():
            if modality in self.features:
                name = self.loader.view_name(shown.row, modality, value)
                views = self.features[modality].of((value, name))
                out[modality] = views[shown.view % len(views)]
            else:
                args = (shown.row, modality, value, shown.view, shown.step)
                out[modality] = self.loader.view(*args)
        return out

    def read_some(self, shown: Shown, plan: Plan) -> Item:
        """The row, or the first of the next ones that can be read."""
        for _ in range(TRIES):
            try:
                number = self.ids[shown.source][shown.index] if self.ids else None
                return Item(shown.row.name, shown.inputs, self.read(shown), number)
            except BindplugError as err:
                self.bad.add(err)
                last = err
            shown = plan.substitute(shown)
        raise give_up(last)


def plan_batches(
    plan: Plan, reader: Reader, steps: Iterable[int], processes: Processes, workers: int
) -> Iterator[Batch]:
    """The batches of some steps, in order."""

    def shown_of(step: int) -> list[Shown]:
        rows = plan.batch(step)
        return rows[processes.share(len(rows))]

    def all_shown() -> Iterator[tuple[Shown, int]]:
        for step in steps:
            rows = shown_of(step)
            yield from ((shown, len(rows)) for shown in rows)

    def read(item: tuple[Shown, int]) -> tuple[Item, int]:
        return reader.read_some(item[0], plan), item[1]

    everything = set(reader.features) >= {m for s in plan.sources for m in s.modalities}
    depth = 4 * max(plan.sizes) if not everything else 1
    items = map(read, all_shown()) if everything else prefetch(read, all_shown(), workers, depth)
    waiting = []
    for item, count in items:
        waiting.append(item)
        if len(waiting) == count:
            yield join(waiting)
            waiting = []
