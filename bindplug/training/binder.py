"""The model that is trained: a tower for each modality, a loss for each that is bound to images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn

from ..device import torch_dtype
from ..errors import BindplugError
from ..models.load import absolute_name, load_beside
from ..models.towers.build import make_tower, resolved
from ..models.towers.embedder_trunk import width_of
from ..models.towers.folder import load_tower, read_description
from ..models.towers.lora import add_adapter
from ..models.towers.network import TowersNetwork
from ..models.towers.spec import TowerSpec, parse_tower
from ..models.towers.tower import Tower
from .losses import ContrastiveLoss, Temperature
from .settings import Settings

WIDTH = 512  # of a new space
PRECISIONS = {"fp32": "float32", "amp_bf16": "bfloat16"}
OF_BASE = ("train", "lora")  # kinds that name the tower of the embedder that training starts from


class Binder(nn.Module):
    """Towers into one space, every modality but image bound to images.

    Args:
        towers: by modality, image among them.
        losses: of each modality that is bound.
    """

    def __init__(self, towers: dict[str, Tower], losses: dict[str, ContrastiveLoss]):
        super().__init__()
        self.towers, self.losses = nn.ModuleDict(towers), nn.ModuleDict(losses)

    def embed(self, batch: dict[str, Tensor], cached: set[str]) -> dict[str, Tensor]:
        """(B, ...) clips, or features of the modalities in `cached`, to (B, D) unit vectors."""
        return {
            m: self.towers[m].project(x) if m in cached else self.towers[m](x)
            for m, x in batch.items()
        }

    def loss(self, embeddings: dict[str, Tensor], positives: Tensor | None) -> Tensor:
        """The mean over the bound modalities of their losses; `positives` as in
        `ContrastiveLoss`."""
        image = embeddings["image"]
        parts = [self.losses[m](image, x, positives) for m, x in embeddings.items() if m != "image"]
        return torch.stack(parts).mean()


@dataclass
class Parts:
    """What a binder is made of.

    Attributes:
        specs: of the towers, as an exported folder describes them.
        base: the embedder that training starts from, or None.
        width: of the space.
    """

    towers: dict[str, Tower]
    specs: dict[str, TowerSpec]
    base: object | None
    width: int

    @property
    def keeps_space(self) -> bool:
        """Whether the space is that of the frozen image tower's embedder: nothing is put on top of
        it, and everything else is bound to it."""
        return self.specs["image"].kind == "embedder" and self.towers["image"].head.kind == "none"


def make_towers(settings: Settings, device: str) -> Parts:
    """The towers of a run, frozen, locked in part or trained as the settings say, on `device`.

    Raises BindplugError: a tower given twice, no image tower, one that cannot be trained, or no
    tower that is."""
    open_embedder = cache(lambda name: load_beside(name, device))
    base = open_embedder(settings.init) if settings.init else None
    width = settings.embed_dim or (width_of(base) if base else WIDTH)
    specs: dict[str, TowerSpec] = {}
    for text in settings.tower:
        spec = parse_tower(text)
        if spec.modality in specs:
            raise BindplugError(f"two towers of {spec.modality}; give one")
        if not spec.dropout:
            spec = replace(spec, dropout=settings.head_dropout)
        specs[spec.modality] = resolved(replace(spec, name=absolute_name(spec.name)))
    for modality in base.modalities if base else ():
        if modality not in specs and modality != "video":
            specs[modality] = TowerSpec(modality, "embedder", absolute_name(settings.init))
    if "image" not in specs:
        raise BindplugError("no tower of image; give --init EMBEDDER or --tower image=...")
    locks = _locks(settings, specs)
    precision = torch_dtype(PRECISIONS[settings.precision], device)
    towers = {}
    for modality, spec in specs.items():
        if spec.kind in OF_BASE:
            towers[modality], specs[modality] = _of_base(settings, spec, base, width, open_embedder)
        else:
            frozen = spec.kind == "embedder"
            towers[modality] = make_tower(spec, width, open_embedder, settings.head, frozen)
        if locks.get(modality) == 0:
            towers[modality].freeze()
        elif modality in locks:
            towers[modality].free_blocks(locks[modality])
        towers[modality].precision = precision
        _prepare(towers[modality], settings)
        towers[modality].to(torch.device(device))
    return Parts(towers, specs, base, width)


def _prepare(tower: Tower, settings: Settings) -> None:
    """Recomputation and compilation, of trunks that are trained."""
    is_trained = any(p.requires_grad for p in tower.trunk.parameters())
    if settings.grad_checkpointing and is_trained:
        tower.recompute_activations()
    if settings.torchcompile and is_trained:
        tower.trunk.compile()


def _locks(settings: Settings, specs: dict[str, TowerSpec]) -> dict[str, int]:
    """Of each locked modality how many blocks stay unlocked; 0 freezes the trunk."""
    locks = {}
    for text in settings.lock:
        modality, is_part, count = text.partition("=")
        if is_part and not count.isdecimal():
            raise BindplugError(f"--lock {text}: write MODALITY or MODALITY=BLOCKS")
        locks[modality] = int(count or 0)
    for modality, is_locked, count in (
        ("image", settings.lock_image, settings.lock_image_unlocked_groups),
        ("text", settings.lock_text, settings.lock_text_unlocked_layers),
    ):
        if is_locked or count:
            locks[modality] = count
    for modality in locks:
        if modality not in specs:
            raise BindplugError(f"--lock {modality}: there is no tower of {modality}")
        if specs[modality].kind == "lora" or specs[modality].lora:
            raise BindplugError(
                f"--lock {modality}: that tower has an adapter, beside which its trunk is frozen "
                "as a whole; leave out the lock or the adapter"
            )
        if locks[modality] and specs[modality].kind == "embedder":
            raise BindplugError(
                f"--lock {modality}={locks[modality]}: that tower is an embedder's, frozen as a "
                f"whole; give --tower {modality}=train"
            )
    return locks


def _of_base(
    settings: Settings, spec: TowerSpec, base, width: int, open_embedder: Callable
) -> tuple[Tower, TowerSpec]:
    """The tower of the embedder that training starts from, to be trained as a whole or by an
    adapter."""
    modality = spec.modality
    if base is None or modality not in base.modalities:
        raise BindplugError(f"{modality}={spec.kind}: --init names no embedder of {modality}")
    given = [spec.name, *spec.arguments, *(spec.lora if spec.kind == "train" else ())]
    if extra := next(filter(None, given), ""):
        raise BindplugError(
            f"{modality}={spec.kind}: {extra!r} does not apply; the trunk is that of "
            f"{settings.init}"
        )
    init = absolute_name(settings.init)
    if isinstance(base.network, TowersNetwork):
        folder = base.network.folder
        saved = read_description(folder).towers[modality]
        if saved.kind == "embedder":
            raise BindplugError(f"{modality}={spec.kind}: {folder} refers to {saved.name} for it")
        if saved.kind == "tower" and spec.kind == "train":
            raise BindplugError(
                f"{modality}=train: {folder} holds an adapter of {saved.name}; train that further "
                f"by --tower {modality}=lora, or the whole trunk by --init {saved.name}"
            )
        if spec.head not in ("", saved.head):
            raise BindplugError(
                f"{modality}={spec.kind}: the head of {folder} is {saved.head}; leave out "
                f"head={spec.head}"
            )
        tower = load_tower(folder, modality, open_embedder)
        own = TowerSpec(modality, "tower", init) if spec.kind == "lora" else replace(saved, lora={})
    elif hasattr(base.network, "open_trunk"):
        own = TowerSpec(modality, "imagebind", init, head=spec.head, dropout=spec.dropout)
        tower = make_tower(own, width, open_embedder, settings.head)
    else:
        raise BindplugError(
            f"{modality}={spec.kind}: the towers of {settings.init!r} cannot be trained here; "
            f"give a trunk, as {modality}=imagebind or {modality}=timm:NAME"
        )
    tower.head.dropout = spec.dropout
    if spec.kind == "lora":
        lora = spec.lora or {"r": 8}
        add_adapter(tower.trunk, lora)
        own = replace(own, lora=lora)
    return tower, own


def make_losses(settings: Settings, modalities: list[str]) -> dict[str, ContrastiveLoss]:
    """A loss for each modality that is bound to images."""
    low, high = settings.temperature_low, settings.temperature_high
    if not settings.learn_temp:
        low, high = min(low, settings.temperature), max(high, settings.temperature)
    temperature = Temperature(settings.temperature, settings.learn_temp, low, high)
    if settings.siglip:
        temperature = replace(temperature, is_learnt=True)
    return {m: ContrastiveLoss(temperature, settings.siglip) for m in modalities if m != "image"}
