"""Features of frozen trunks: of each input some augmented views, computed once, kept on disk."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..cache import Cache
from ..embedding.prefetch import prefetch
from ..errors import BindplugError
from ..models.towers.spec import TowerSpec
from ..models.towers.tower import Tower
from ..storage.state_dict import state_digest
from .data.loader import Loader, stack
from .data.rows import Bad, Crop, Moment, Row, Source

FORMAT = {"imu": 2}  # of what is kept, else 1; a change of views or augmentations makes a new one
CLIPS = 32  # of a forward pass

Key = tuple[Hashable, str]  # an input and the name of its views


@dataclass
class Features:
    """Features of one modality's inputs.

    Attributes:
        rows: of each input, its number.
        vectors: of each input, (V, W) float32: a view a row, or a clip a row.
    """

    rows: dict[Key, int]
    vectors: list[Tensor]

    def of(self, key: Key) -> Tensor:
        return self.vectors[self.rows[key]]


def fingerprint(tower: Tower, spec: TowerSpec) -> str:
    """Of a trunk's weights, precision and arguments, which may decide its transform; "" where it is
    not known, and then nothing is kept."""
    embedder = getattr(tower.trunk, "embedder", None)
    if embedder is not None:
        return embedder.fingerprint and f"{embedder.fingerprint} {tower.precision}"
    digest = state_digest(tower.trunk.state_dict())
    made = spec.kind, spec.name, sorted(spec.arguments.items())
    return f"{type(tower.trunk).__qualname__} {made} {digest} {tower.precision}"


def frozen_digest(tower: Tower) -> str:
    """Of the weights that a trunk in training keeps: those beside an adapter, or below a lock."""
    parameters = tower.trunk.named_parameters()
    return state_digest({name: p for name, p in parameters if not p.requires_grad})


def make_features(
    modality: str,
    tower: Tower,
    sources: Iterable[Source],
    loader: Loader,
    views: int,
    bad: Bad,
    path: Path | None = None,
    weights: str = "",
    device: str = "cpu",
    workers: int = 2,
) -> tuple[Features, dict[tuple[str, Hashable], str]]:
    """Features of all inputs of a modality.

    Inputs are encoded in groups that their order alone decides, and a group of which one is not
    kept is computed anew as a whole: so a run that was stopped here goes on to the same bits.

    Args:
        tower: whose trunk is frozen.
        views: augmented views; 0 takes all clips of each input, without augmentation.
        bad: told of inputs that cannot be read, or whose features are not finite.
        path: the file that features are kept in, by content and settings; None keeps nothing.
        weights: the trunk's `fingerprint`; "" keeps nothing.

    Returns:
        The features, and the inputs that have none, with the reason of each.

    Raises BindplugError: no input has features; or bad input, where `bad` is strict."""
    from tqdm import tqdm

    jobs: dict[Key, Row] = {}
    for source in sources:
        for row in source.rows:
            for value in row.inputs.get(modality, ()):
                key = (value, loader.view_name(row, modality, value) if views else "")
                jobs.setdefault(key, row)
    keeper = Keeper(modality, tower, loader, views, path, weights)
    size = max(1, CLIPS // max(views, 1))
    groups = [list(jobs.items())[i : i + size] for i in range(0, len(jobs), size)]
    found: dict[Key, Tensor] = {}
    failed: dict[tuple[str, Hashable], str] = {}
    tower.eval()
    with torch.no_grad():
        done = prefetch(keeper.read, groups, workers, 2 * workers)
        bar = tqdm(done, f"features of {modality}", len(groups), disable=None, leave=False)
        for names, kept, clips, errors in bar:
            vectors = kept or keeper.encode(clips, device)
            for key, part in vectors.items():
                if not torch.isfinite(part).all():
                    reason = f"{content(key[0])}: its {modality} features are NaN or infinite"
                    errors[key] = BindplugError(reason)
                elif not kept:
                    keeper.put(names[key], part)
            found |= {k: v for k, v in vectors.items() if k not in errors}
            for key, error in errors.items():
                failed[modality, key[0]] = str(error)
                bad.add(error)
    if not found:
        raise BindplugError(next(iter(failed.values()), f"no {modality} to train on"))
    return Features({k: i for i, k in enumerate(found)}, list(found.values())), failed


class Keeper:
    """Reads groups of inputs, or finds what is kept of them."""

    def __init__(
        self, modality: str, tower: Tower, loader: Loader, views: int, path: Path | None,
        weights: str,
    ):  # fmt: skip
        self.modality, self.tower, self.loader, self.views = modality, tower, loader, views
        self.cache = Cache(path) if path and weights else None
        self.settings = f"{FORMAT.get(modality, 1)} {weights} {views}"
        if views:
            of = loader.augmentations.get(modality)
            self.settings += f" {of} {loader.seed} {loader.is_aligned}"

    def _key(self, key: Key, row: Row) -> str | None:
        of = (self.loader.options.get(self.modality), row.options.get(self.modality))
        settings = f"{self.settings} {key[1]} {of}"
        return self.cache and self.cache.key(self.modality, content(key[0]), settings)

    def read(self, group: list[tuple[Key, Row]]):
        """Of each key its name in the cache; kept vectors of all, or None; else the clips of each;
        and the errors."""
        names = {key: self._key(key, row) for key, row in group}
        kept = {key: self.cache.get(name)[0] for key, name in names.items() if name}
        if len(kept) == len(group) and all(v is not None for v in kept.values()):
            return names, {k: torch.from_numpy(v.copy()) for k, v in kept.items()}, {}, {}
        clips, errors = {}, {}
        for key, row in group:
            try:
                clips[key] = self._clips(row, key[0])
            except BindplugError as err:
                errors[key] = err
        return names, None, clips, errors

    def _clips(self, row: Row, value) -> Tensor:
        if not self.views:
            return self.loader.clips(row, self.modality, value)
        views = [self.loader.view(row, self.modality, value, i) for i in range(self.views)]
        return stack(views, self.modality, [str(value)] * self.views)

    def encode(self, clips: dict[Key, Tensor], device: str) -> dict[Key, Tensor]:
        if not clips:
            return {}
        parts = torch.cat(list(clips.values())).split(CLIPS)
        vectors = torch.cat([self.tower.features(x.to(device)).cpu() for x in parts])
        shares = vectors.split([len(c) for c in clips.values()])
        return {key: part.clone() for key, part in zip(clips, shares, strict=True)}

    def put(self, name: str | None, vectors: Tensor) -> None:
        if name:
            self.cache.put(name, vectors.numpy(), ())


def content(value):
    """What the cache hashes of an input: files by their content."""
    if isinstance(value, Moment):
        return {"file": value.path, "start": value.start, "end": value.end}
    if isinstance(value, Crop):
        return {"file": value.path, "box": list(value.box)}
    return value
