"""Rows of training data: inputs that belong together, and what says that rows belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace

from ...errors import BindplugError


@dataclass(frozen=True)
class Member:
    """A file inside a shard."""

    name: str  # SHARD: KEY.ENDING
    data: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True)
class Moment:
    """A part of a recording (a video, or motion with time stamps), of which a view shows a moment.

    Attributes:
        start, end: seconds; an end of 0 is that of the recording.
    """

    path: str | Member
    start: float = 0.0
    end: float = 0.0


@dataclass(frozen=True)
class Crop:
    """A rectangle of an image, (left, top, right, bottom) pixels."""

    path: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Row:
    """Inputs of one thing.

    Attributes:
        inputs: of each modality alternatives, one of which a view shows: texts, paths, `Moment`s,
            `Crop`s, or what else a transform takes.
        name: for messages; rows of one name share the moments and crops of their views.
        labels: class names; rows of the same labels may count as positives.
        group: the same, by whatever groups rows; "" is a group of its own.
        options: of the modalities' transforms.
    """

    inputs: dict[str, tuple[Hashable, ...]]
    name: str
    labels: tuple[str, ...] = ()
    group: str = ""
    options: dict[str, dict] = field(default_factory=dict)


class Bad:
    """What could not be used: an error at once, or counted.

    Args:
        is_strict: raise the first.

    Attributes:
        messages: of what was left out, each once, however often it was met.
    """

    def __init__(self, is_strict: bool = False):
        self.is_strict, self.messages, self._known = is_strict, [], set()

    def add(self, message: str | BindplugError) -> None:
        if self.is_strict:
            raise BindplugError(f"{message} (--strict)")
        self.recall([str(message)])

    def recall(self, messages: Iterable[str]) -> None:
        """Count what an earlier part of the run left out."""
        for message in messages:
            if message not in self._known:
                self._known.add(message)
                self.messages.append(message)

    def summary(self, what: str) -> str:
        """One line, "" where nothing was left out."""
        if not self.messages:
            return ""
        return f"{len(self.messages)} {what} left out; the first: {self.messages[0]}"


@dataclass(frozen=True)
class Source:
    """Rows that all have the same modalities, image among them."""

    rows: tuple[Row, ...]
    modalities: tuple[str, ...]

    def without(self, bad: dict[tuple[str, Hashable], str]) -> Source:
        """This source without some inputs, and without the rows that have none left."""
        rows = []
        for row in self.rows:
            inputs = {
                m: tuple(x for x in values if (m, x) not in bad) for m, values in row.inputs.items()
            }
            if all(inputs.values()):
                rows.append(replace(row, inputs=inputs))
        return replace(self, rows=tuple(rows))


def make_sources(
    rows: Iterable[Row], where: str, wanted: Iterable[str], bad: Bad | None = None
) -> list[Source]:
    """Rows by the modalities that they have and that have a tower.

    Args:
        where: the data, for messages.
        wanted: modalities with a tower.
        bad: told of rows without an image, or without anything beside it that has a tower.

    Raises BindplugError: no row with an image and another modality that has a tower."""
    wanted, groups, seen = set(wanted), {}, Counter()
    for row in rows:
        seen.update(row.inputs.keys())
        kept = {m: x for m, x in row.inputs.items() if m in wanted and x}
        if "image" in kept and len(kept) > 1:
            key = tuple(sorted(kept))
            groups.setdefault(key, []).append(replace(row, inputs=kept))
        elif bad:
            bad.add(f"{where}: {row.name} is not an image and something beside it that has a tower")
    if not groups:
        has = ", ".join(sorted(seen)) or "nothing"
        raise BindplugError(
            f"{where}: has no row with an image and another modality that has a tower; it has "
            f"{has}, there are towers of {', '.join(sorted(wanted))}"
        )
    return [Source(tuple(rows), modalities) for modalities, rows in groups.items()]


def ids_of(rows: Iterable[Row], positives: str) -> list[int]:
    """A number for each row, equal for rows that belong together by label or group.

    Rows without a label or group belong to nothing but themselves.
    Raises BindplugError: positives by what no two rows share."""
    rows = list(rows)
    keys = [tuple(sorted(row.labels)) if positives == "label" else row.group for row in rows]
    numbers, out = {}, []
    for i, key in enumerate(keys):
        out.append(numbers.setdefault(key or i, len(numbers)))
    if positives != "pair" and len(numbers) == len(rows):
        what = "labels" if positives == "label" else "groups"
        raise BindplugError(
            f"--positives {positives}: no two of {len(rows)} rows share their {what} (the "
            f"first: {rows[0].name}); use --positives pair"
        )
    return out
