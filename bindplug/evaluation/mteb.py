"""Embedders, and embedders with a bridge, as models of mteb, the embedding benchmark.

`mteb.evaluate(MtebEncoder(embedder), mteb.get_tasks(["ESC50_Zeroshot"]))`; see docs/mteb.md.
"""

import hashlib
import os
from collections.abc import Iterator
from typing import get_args

import numpy as np

from .. import __version__
from ..bridge import Target, cross
from ..bridge.bridge import Bridge
from ..bridge.vocabulary import default_vocabulary
from ..embedding.modalities import options_of
from ..embedding.vectors import compose, concatenate
from ..errors import BindplugError, MissingDependency, SpaceMismatch, first_line
from ..storage.source import NamedBytes

try:
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ScoringFunction
    from mteb.types import Modalities
except ImportError as err:
    raise MissingDependency("mteb is not installed; run: pip install 'bindplug[mteb]'") from err

BLOCK = 1024  # rows that cross a bridge at a time: each is compared with every word


class MtebEncoder(AbsEncoder):
    """What `mteb.evaluate` takes as a model; an input of several modalities is their `compose`.

    Sounds and videos are decoded by bindplug from the files of the data set, so torchcodec is not
    needed. The embedder's own batch size counts, not that of mteb's `encode_kwargs`.

    Args:
        embedder: embeds what `target` does not; all, where there is no target.
        target: an embedder of another space, in which everything is compared: what it supports it
            embeds itself, the rest comes from `embedder` and crosses by the bridge.
        bridge: a fitted bridge or its kind, as in `bindplug.bridge.cross`; None for the default.
        options: of the modalities, as in `Embedder.embed`; each goes to those that have it.

    Attributes:
        mteb_model_meta: name, modalities and, as `revision`, a hash of the weights' fingerprints,
            the bridge and the options, by which mteb keeps results.

    Raises BindplugError: a bridge without a target; SpaceMismatch: one between other spaces."""

    def __init__(self, embedder, target=None, bridge: Bridge | str | None = None, options=None):
        if bridge is not None and target is None:
            raise BindplugError("a bridge leads to another embedder's space; give it as target")
        if isinstance(bridge, Bridge):
            ends, sides = (bridge.source, bridge.target), (embedder.space, target.space)
            if ends != sides:
                raise SpaceMismatch(
                    f"the bridge leads from {ends[0]!r} to {ends[1]!r}, "
                    f"and {sides[0]!r} to {sides[1]!r} is wanted"
                )
        self.embedder, self.target, self.bridge = embedder, target, bridge
        self.options = options or {}
        sides = [embedder] if target is None else [embedder, target]
        supported = {modality for side in sides for modality in side.modalities}
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": "bindplug/" + "-to-".join(s.space.replace("/", "-") for s in sides),
                "revision": self._revision(sides),
                "modalities": [m for m in get_args(Modalities) if m in supported],
                "framework": ["PyTorch"],
                "similarity_fn_name": ScoringFunction.COSINE,
                "use_instructions": False,
            }
        )

    def _revision(self, sides: list) -> str:
        """40 hex digits of all that decides a result; never the same for unknown weights."""
        digest = hashlib.sha256(repr((__version__, sorted(self.options.items()))).encode())
        for side in sides:
            weights = side.fingerprint or os.urandom(16)
            digest.update(repr((side.space, weights)).encode())
        if isinstance(self.bridge, Bridge):
            for name, value in [("kind", self.bridge.kind), *sorted(vars(self.bridge).items())]:
                digest.update(name.encode())
                array = isinstance(value, np.ndarray)
                digest.update(value.tobytes() if array else repr(value).encode())
        elif self.target is not None:
            words = (default_vocabulary(), default_vocabulary("audio"))
            digest.update(repr((self.bridge, words)).encode())
        return digest.hexdigest()[:40]

    def encode(self, inputs, *, show_progress_bar: bool = True, **_) -> np.ndarray:
        """(N, D) float32 unit rows of the N inputs of a `DataLoader`.

        Raises BindplugError: no column that holds a modality, or an input that cannot be read."""
        dataset = _undecoded(inputs.dataset)
        found = [name for name in get_args(Modalities) if name in dataset.features]
        if not found:
            raise BindplugError(f"no text, image, audio or video among {list(dataset.features)}")
        parts = [self._embed(name, dataset, show_progress_bar) for name in found]
        return compose([(part, 1.0) for part in parts]).vectors

    def _embed(self, modality: str, dataset, progress: bool):
        from tqdm import tqdm

        own = self.target is not None and modality in self.target.modalities
        embedder = self.target if own else self.embedder
        items = _items(modality, dataset)
        items = iter(tqdm(items, modality, len(dataset), disable=None if progress else True))
        rows = embedder.embed(**{modality: items}, **options_of(modality, self.options))
        if self.target is None or own:
            return rows
        target = Target(self.target.space, embedder=self.target)
        blocks = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
        return concatenate([cross(block, target, self.bridge)[0] for block in blocks])


def _undecoded(dataset):
    """A data set whose sounds and videos are the bytes or paths of their files."""
    for name in ("audio", "video"):
        feature = dataset.features.get(name)
        if getattr(feature, "decode", False):
            dataset = dataset.cast_column(name, type(feature)(decode=False))
    return dataset


def _items(modality: str, dataset) -> Iterator:
    """The inputs of a column as `Embedder.embed` takes them.
    Raises BindplugError: a row that the data set cannot decode."""
    rows = iter(dataset)
    for index in range(len(dataset)):
        try:
            item = next(rows)[modality]
        except Exception as err:  # a decoder's own kinds
            raise BindplugError(
                f"{modality} of row {index}: cannot be read ({first_line(err)})"
            ) from err
        if isinstance(item, dict) and "array" in item:
            item = (np.asarray(item["array"]), int(item["sampling_rate"]))
        elif isinstance(item, dict):
            path, data = item["path"], item["bytes"]
            item = path if data is None else NamedBytes(data, f"{path or modality} (row {index})")
        yield item
