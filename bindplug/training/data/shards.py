"""Rows of WebDataset shards, read one after another, for data that does not fit."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Hashable, Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path

import numpy as np

from ...embedding.modalities import MODALITIES
from ...errors import BindplugError, MissingDependency, first_line
from .rows import Bad, Member, Moment, Row
from .tables import group_of, labels_of

BUFFER = 1000  # rows that are shuffled together
FIRST = 100  # samples of which one must have what is trained
TEXTS, LABELS, NOTES = ("txt", "text", "caption"), ("cls", "label"), ("json",)


def _webdataset(module: str):
    try:
        return import_module(f"webdataset.{module}")
    except ImportError as err:
        raise MissingDependency(
            "shards need webdataset; run: pip install 'bindplug[train]'"
        ) from err


def expand_shards(data: tuple[str, ...]) -> list[str]:
    """Paths of shards: of a folder its `.tar`s, of a pattern ("a-{000..015}.tar", "*.tar") all.

    Raises BindplugError: none is there; MissingDependency: webdataset is not installed."""
    expand_urls = _webdataset("shardlists").expand_urls
    out = []
    for place in data:
        if Path(place).is_dir():
            found = sorted(map(str, Path(place).glob("*.tar")))
        else:
            found = [p for url in expand_urls(place) for p in sorted(glob.glob(url)) or [url]]
        absent = [p for p in found if "://" not in p and not p.startswith("pipe:")]
        absent = [p for p in absent if not Path(p).is_file()]
        if absent or not found:
            raise BindplugError(f"{absent[0] if absent else place}: no such shard")
        out += found
    return out


def read_shards(shards: list[str], bad: Bad) -> Iterator[dict]:
    """The samples of shards in order, as WebDataset groups them: "__key__", and bytes by ending.

    A shard that breaks off gives the samples before that, and a message.
    Raises MissingDependency: webdataset is not installed."""
    tariterators = _webdataset("tariterators")
    for shard in shards:
        try:
            opened = tariterators.url_opener([{"url": shard}])
            yield from tariterators.group_by_keys(tariterators.tar_file_expander(opened))
        except Exception as err:  # tarfile, the decompressors and the network raise many kinds
            why = first_line(err.args[0][0] if err.args and isinstance(err.args[0], tuple) else err)
            bad.add(f"{shard}: is damaged; what follows in it is left out ({why})")


def row_of(sample: dict, modalities: set[str]) -> Row:
    """A row of a sample: files by their ending ("jpg", or "depth.png" where an ending does not say
    which modality it is), a text in "txt", a class in "cls", and "json" with `label`, `group` and
    `text`."""
    shard = sample.get("__url__", "")
    key = f"{shard}:{sample['__key__']}"
    inputs: dict[str, tuple[Hashable, ...]] = {}
    cells: dict = {}
    for ending, data in sample.items():
        if ending.startswith("__"):
            continue
        member = Member(f"{key}.{ending}", data)
        if ending in NOTES:
            try:
                cells |= dict(json.loads(data))
            except (ValueError, TypeError) as err:
                raise BindplugError(f"{member.name}: is not a JSON object") from err
        elif ending in LABELS:
            cells["label"] = data.decode("utf-8", "replace").strip()
        elif ending in TEXTS:
            inputs["text"] = (member,)
        elif modality := _modality(ending, modalities):
            if modality == "video":
                inputs |= {"image": (Moment(member),), "audio": (Moment(member),)}
            else:
                inputs[modality] = (member,)
    if isinstance(cells.get("text"), str) and cells["text"]:
        inputs["text"] = (cells["text"],)
    return Row(inputs, key, labels_of(cells), group_of(cells))


def first_modalities(shards: list[str], towers: list[str], bad: Bad) -> list[str]:
    """The modalities of the first sample with an image and another input that has a tower.

    Raises BindplugError: none of the first samples has both."""
    wanted = set(towers)
    samples = islice(read_shards(shards, bad), FIRST)
    for row in _usable(samples, wanted, lambda row: row.inputs.keys() & wanted > {"image"}, bad):
        return sorted(row.inputs.keys() & wanted)
    if not bad.messages:
        raise BindplugError(f"{shards[0]}: holds no sample, nor does any further shard")
    others = ", ".join(m for m in towers if m != "image")
    raise BindplugError(
        f"{shards[0]}: none of the first {FIRST} samples has an image and one of {others}; the "
        f"first: {bad.messages[0]}"
    )


def _usable(
    samples: Iterable[dict], modalities: set[str], needs: Callable[[Row], bool], bad: Bad
) -> Iterator[Row]:
    """The rows of samples that have what is needed; `bad` is told of the others."""
    for sample in samples:
        try:
            row = row_of(sample, modalities)
        except BindplugError as err:
            bad.add(err)
            continue
        if needs(row):
            yield row
        else:
            bad.add(f"{row.name}: has {', '.join(row.inputs) or 'no input'}")


def _modality(ending: str, modalities: set[str]) -> str:
    head, _, _ = ending.partition(".")
    if head in modalities:
        return head
    for modality in ("image", "audio", "video"):
        if f".{ending.lower()}" in MODALITIES[modality].endings:
            return modality
    return ""


class Samples:
    """An endless stream of rows, each epoch of shards in another order.

    The rows that this process takes are every n-th of the stream, or of its own shards where each
    process has some; so the stream is a function of seed and processes alone.
    """

    def __init__(self, shards: list[str], modalities: set[str], bad: Bad, seed: int, rank: int,
                 count: int, needs: Callable[[Row], bool]):  # fmt: skip
        self.shards, self.modalities, self.bad, self.seed = shards, modalities, bad, seed
        self.needs, self.count = needs, count
        self.own = slice(rank, None, count) if len(shards) >= count else slice(None)
        self.every = (0, 1) if len(shards) >= count else (rank, count)

    def rows(self) -> Iterator[Row]:
        """Raises BindplugError: a whole epoch without two rows that can be used."""
        epoch = 0
        while True:
            rng = np.random.default_rng([self.seed, 3, epoch])
            order = [self.shards[i] for i in rng.permutation(len(self.shards))][self.own]
            given = 0
            for row in self._shuffled(order, rng):
                given += 1
                yield row
            if given * self.count < 2:
                if given:
                    raise BindplugError(
                        "the shards have one row to train on: contrastive training compares rows, "
                        "so at least 2 are needed"
                    )
                first = self.bad.messages[0] if self.bad.messages else "no sample"
                raise BindplugError(f"the shards have no row to train on: {first}")
            epoch += 1

    def _shuffled(self, order: list[str], rng: np.random.Generator) -> Iterator[Row]:
        held: list[Row] = []
        start, step = self.every
        samples = islice(read_shards(order, self.bad), start, None, step)
        for row in _usable(samples, self.modalities, self.needs, self.bad):
            held.append(row)
            if len(held) > BUFFER:
                at = int(rng.random() * len(held))
                held[at], held[-1] = held[-1], held[at]
                yield held.pop()
        yield from (held[i] for i in rng.permutation(len(held)))
