"""Towers from their specifications."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points

from torch import nn

from ...errors import BindplugError, MissingDependency, first_line
from .embedder_trunk import EmbedderTrunk
from .imagebind import ImageBindTrunk
from .lora import add_adapter
from .open_clip_trunk import OpenCLIPTrunk
from .spec import TowerSpec
from .timm_trunk import TimmTrunk
from .tower import Head, Tower, attribute
from .transformers_trunk import TransformersTrunk

GROUP = "bindplug.trunks"  # of entry points: each a callable, (**arguments) to a trunk
NAMED = {"timm": TimmTrunk, "open_clip": OpenCLIPTrunk, "transformers": TransformersTrunk}


def make_trunk(spec: TowerSpec, open_embedder: Callable) -> nn.Module:
    """The trunk of a specification, with the weights that it names or untrained ones.

    Args:
        open_embedder: an embedder's name to the embedder.

    Raises BindplugError: an unknown kind, or arguments that it does not take; MissingDependency: a
    package of a plugin is not installed."""
    spec = resolved(spec)
    kind, modality = spec.kind, spec.modality
    try:
        if kind == "embedder":
            return EmbedderTrunk(modality, open_embedder(spec.name))
        if kind == "imagebind":
            return ImageBindTrunk(modality, weights=spec.name, **spec.arguments)
        if kind in NAMED:
            if not spec.name:
                raise BindplugError(f"{modality}={kind}: name a model, as {modality}={kind}:NAME")
            return NAMED[kind](modality, spec.name, **spec.arguments)
        trunk = _plugin(kind)(**({"name": spec.name} if spec.name else {}), **spec.arguments)
    except TypeError as err:  # of the call: an argument that is unknown or of a wrong kind
        raise BindplugError(f"{modality}={kind}: {first_line(err)}") from err
    for name in ("width", "transform", "modalities"):
        if not hasattr(trunk, name):
            raise BindplugError(f"trunk {kind!r} has no {name}; see bindplug.models.towers.tower")
    return trunk


def _plugin(kind: str):
    found = {e.name: e for e in entry_points(group=GROUP)}
    if kind not in found:
        known = ", ".join(["imagebind", *NAMED, *found, "an embedder's name"])
        raise BindplugError(f"no trunk {kind!r}; there are: {known}")
    try:
        return found[kind].load()
    except Exception as err:  # whatever a third party's import raises
        raise MissingDependency(f"trunk {kind!r} cannot be loaded: {first_line(err)}") from err


def resolved(spec: TowerSpec) -> TowerSpec:
    """A specification whose kind is an installed embedder's name as one of kind "embedder"."""
    from ..registry import discover

    taken = {"imagebind", "embedder", *NAMED, *(e.name for e in entry_points(group=GROUP))}
    if spec.kind in taken or spec.kind not in discover("bindplug.embedders"):
        return spec
    return replace(spec, kind="embedder", name=spec.kind)


def make_tower(
    spec: TowerSpec, width: int, open_embedder: Callable, head: str = "linear",
    is_frozen: bool = False,
) -> Tower:  # fmt: skip
    """A trunk and a head into `width` dimensions, on the CPU, or where the embedder is that is the
    trunk.

    Args:
        head: where the specification does not say. An embedder's vectors, and the embedding of an
            ImageBind with weights, take none where they have that width already.

    Raises BindplugError: as in `make_trunk`; features without a head that have another width."""
    spec = resolved(spec)
    trunk = make_trunk(spec, open_embedder)
    of_space = spec.kind == "embedder" or (spec.kind == "imagebind" and spec.name)
    if of_space and trunk.width == width:
        head = "none"
    tower = Tower(trunk, Head(spec.head or head, trunk.width, width, spec.dropout), is_frozen)
    if spec.modality not in attribute(trunk, "modalities"):
        raise BindplugError(f"the trunk {spec.kind!r} does not take {spec.modality}")
    if spec.lora:
        add_adapter(tower.trunk, spec.lora)
    if spec.kind == "embedder":
        tower.to(trunk.embedder.device)
    return tower
