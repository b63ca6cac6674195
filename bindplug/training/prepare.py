"""All that a run needs before its first step: towers, data, cached features, validation."""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from ..embedding.options import option_value
from ..errors import BindplugError
from ..models.towers.spec import parse_tower
from .binder import Binder, Parts, make_losses, make_towers
from .data.augment import parse_augmentations
from .data.loader import Loader
from .data.plan import Plan
from .data.rows import Bad, Moment, Row, Source, ids_of
from .data.sources import kind_of, read_sources
from .feature_cache import Features, fingerprint, frozen_digest, make_features
from .figures import TEMPLATES, Validation
from .processes import Processes
from .settings import Settings, flag_of
from .stream import Stream

log = logging.getLogger("bindplug")
# Settings that do not decide the result.
BESIDES = ("name", "logs", "report_to", "log_every_n_steps", "save_seconds", "workers", "licence",
           "seeds", "cache_features", "strict")  # fmt: skip


@dataclass
class Setup:
    """What a run works with.

    Attributes:
        plan: of the steps' rows; None for a stream.
        stream: of shards; None for rows.
        features: of the modalities whose trunks are frozen, in training.
        ids: of each source's rows; () for pairs alone.
        bad: what of the training data was left out.
        key: of all that decides the result.
        described: of the data, for the model card.
    """

    parts: Parts
    binder: Binder
    loader: Loader
    plan: Plan | None
    stream: Stream | None
    features: dict[str, Features]
    ids: tuple[list[int], ...]
    validation: Validation | None
    bad: Bad
    key: str
    described: dict


def prepare(settings: Settings, device: str, processes: Processes) -> Setup:
    """Build towers, read data, compute what frozen trunks make of it.

    Raises BindplugError: as the parts do; or nothing to train."""
    torch.manual_seed(settings.seed)
    parts = make_towers(settings, device)
    modalities, bad = list(parts.towers), Bad(settings.strict)
    loader = Loader(
        {m: tower.trunk for m, tower in parts.towers.items()},
        parse_augmentations(settings.aug, modalities),
        _options(settings, modalities),
        settings.seed,
        settings.align == "aligned",
    )
    weights = {
        m: fingerprint(t, parts.specs[m]) for m, t in sorted(parts.towers.items()) if t.is_frozen
    }
    kept = {m: frozen_digest(t) for m, t in sorted(parts.towers.items()) if m not in weights}
    stream, sources, features = None, [], {}
    if _is_stream(settings):
        stream = Stream(settings, modalities, bad, processes)
        bound = stream.modalities
    else:
        sources = _sources(settings, settings.train_data, modalities, bad)
        bound = sorted({m for s in sources for m in s.modalities})
        for modality in bound:
            if modality in weights:
                views = _views(settings, loader, modality, sources)
                features[modality], failed = _features(
                    modality, parts, sources, loader, views, bad, device, settings,
                    weights[modality], processes,
                )  # fmt: skip
                sources = [s for s in (s.without(failed) for s in sources) if s.rows]
    _check_trained(parts, bound)
    _drop_strangers(settings, parts, bound)
    binder = Binder(parts.towers, make_losses(settings, bound)).to(device)
    for modality, tower in parts.towers.items():
        if modality in features:
            tower.head.standardise(torch.cat(features[modality].vectors).to(device))
    plan, ids = None, ()
    if stream is None:
        sources = _large_enough(sources, processes.count, bad)
        views = settings.views if features else 0
        plan = Plan(sources, settings.batch_size, settings.replicate, views, settings.seed,
                    processes.count)  # fmt: skip
        if settings.positives != "pair":
            ids = tuple(ids_of(s.rows, settings.positives) for s in sources)
    validation = None
    if settings.val_data and processes.is_first:
        validation = _validation(settings, binder, parts, loader, bound, device, weights)
    rows = sum(len(s.rows) for s in sources) or settings.train_num_samples
    described = {"data": list(settings.train_data), "rows": rows,
                 "bound": [m for m in bound if m != "image"]}  # fmt: skip
    key = _key(settings, sources, {**weights, **kept})
    return Setup(
        parts, binder, loader, plan, stream, features, ids, validation, bad, key, described
    )


def _is_stream(settings: Settings) -> bool:
    kinds = {kind_of(place, settings.dataset_type) for place in settings.train_data}
    if "webdataset" in kinds and len(kinds) > 1:
        raise BindplugError("shards cannot be mixed with other data; write all as shards")
    return "webdataset" in kinds


def _sources(settings: Settings, data: tuple, modalities: list[str], bad: Bad) -> list[Source]:
    names = {"image": settings.csv_img_key, "text": settings.csv_caption_key}
    return read_sources(data, settings.dataset_type, modalities, bad, names)


def _views(settings: Settings, loader: Loader, modality: str, sources: list[Source]) -> int:
    """Views that differ: one, where nothing is drawn at random."""
    inputs = (x for s in sources for row in s.rows for x in row.inputs.get(modality, ()))
    is_random = loader.augmentations[modality] or any(isinstance(x, Moment) for x in inputs)
    return settings.views if is_random else 1


def _features(
    modality, parts, sources, loader, views, bad, device, settings, weights, processes=None
):
    """`make_features`, kept in the folder of runs, where all processes but the first read them."""
    path = Path(settings.logs, "features.sqlite") if settings.cache_features else None
    is_shared = processes and path and weights
    with processes.first_goes_first() if is_shared else nullcontext():
        return make_features(
            modality, parts.towers[modality], sources, loader, views, bad, path, weights, device,
            settings.workers,
        )  # fmt: skip


def _drop_strangers(settings: Settings, parts: Parts, bound: list[str]) -> None:
    """Towers that the data does not bind stay only where they are of the space already: frozen
    ones, where the space is kept.
    Raises BindplugError: one that `--tower` names and nothing trains."""
    named = {parse_tower(text).modality for text in settings.tower}
    for modality in [m for m in parts.towers if m not in bound]:
        is_trained = any(p.requires_grad for p in parts.towers[modality].parameters())
        if is_trained and modality in named:
            raise BindplugError(
                f"--tower {modality}: no row of the data has {modality} beside an image; "
                "leave it out"
            )
        if is_trained or not parts.keeps_space:
            log.warning("%s: left out, since no row of the data binds it to this space", modality)
            del parts.towers[modality], parts.specs[modality]


def _check_trained(parts: Parts, bound: list[str]) -> None:
    """Raises BindplugError: no tower that the data has is trained."""
    if not any(p.requires_grad for m in bound for p in parts.towers[m].parameters()):
        raise BindplugError(
            f"nothing to train: the towers of {', '.join(bound)} are frozen and have no heads; "
            f"name one by --tower, as --tower {bound[0]}=..."
        )


def _validation(settings, binder, parts, loader, bound, device, weights) -> Validation:
    bad = Bad(settings.strict)
    sources = _sources(settings, settings.val_data, bound, bad)
    features = {}
    for modality in sorted({m for s in sources for m in s.modalities}):
        if modality in weights:
            features[modality], _ = _features(
                modality, parts, sources, loader, 0, bad, device, settings, weights[modality]
            )
    templates = settings.template or getattr(parts.base, "templates", None) or TEMPLATES
    return Validation(binder, sources, loader, features, templates, bad, device)


def _large_enough(sources: list[Source], processes: int, bad: Bad) -> list[Source]:
    """Those of which a batch can be made; where there is none, all, which `Plan` refuses."""
    least = 2 * processes
    large = [s for s in sources if len(s.rows) >= least]
    if not large:
        return sources
    for source in (s for s in sources if len(s.rows) < least):
        for row in source.rows:
            bad.add(f"{row.name}: too few rows have {' and '.join(source.modalities)} as it has")
    return large


def _sizes(row: Row) -> list[int]:
    """Bytes of a row's files."""
    values = (getattr(x, "path", x) for of in row.inputs.values() for x in of)
    return [os.path.getsize(x) for x in values if isinstance(x, str | Path) and os.path.isfile(x)]


def _key(settings: Settings, sources: list[Source], weights: dict[str, str]) -> str:
    """Of what decides the result: settings, rows and sizes of their files, fingerprints of what
    is frozen."""
    deciding = {
        f.name: getattr(settings, f.name) for f in fields(settings) if f.name not in BESIDES
    }
    digest = hashlib.sha256(repr(sorted(deciding.items())).encode())
    for source in sources:
        for row in source.rows:
            of_row = row.inputs, row.labels, row.group, row.options, _sizes(row)
            digest.update(repr(of_row).encode())
    digest.update(repr(weights).encode())
    return f"bindplug train {digest.hexdigest()}"


def differences(before: Settings, now: Settings) -> list[str]:
    """Of each setting that decides the result and differs, what it was and is."""
    return [
        f"{flag_of(f.name)} was {getattr(before, f.name)!r} and is {getattr(now, f.name)!r}"
        for f in fields(now)
        if f.name not in BESIDES and getattr(before, f.name) != getattr(now, f.name)
    ]


def _options(settings: Settings, modalities: list[str]) -> dict[str, dict]:
    """Of each modality the options of `--option MODALITY.NAME=VALUE`."""
    out: dict[str, dict] = {}
    for text in settings.option:
        key, is_pair, value = text.partition("=")
        modality, _, name = key.partition(".")
        if not (is_pair and name) or modality not in modalities:
            raise BindplugError(
                f"option {text!r}; write MODALITY.NAME=VALUE, of {', '.join(modalities)}"
            )
        out.setdefault(modality, {})[name.replace("-", "_")] = option_value(value)
    return out
