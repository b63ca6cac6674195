"""A folder of towers: `config.json`, `model.safetensors`, and what trunks save beside them.

A tower of an embedder, or one with an adapter, is saved as a reference: the name of its base, and
what was trained on top of it. The vector of a known input is saved with it, so that another base
under the same name is found out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from ...errors import BindplugError, first_line
from ...storage.atomic import write_json, writing
from ...storage.state_dict import check_state, read_below
from .build import make_tower, resolved
from .lora import adapter_state, merge_adapter
from .probe import probe
from .spec import TowerSpec
from .tower import Tower, attribute

CONFIG, WEIGHTS = "config.json", "model.safetensors"
SAME, SAME_IN_HALF = 0.999, 0.97  # cosine of the known input's vectors, saved and now


@dataclass(frozen=True)
class Description:
    """What `config.json` of a folder of towers says.

    Attributes:
        towers: by the modality that each is named by.
        modalities: that each tower encodes.
        logit_scales: 1 / temperature by modality, where it is not 1.
        templates: as in `bindplug.plugins.Embedder`.
        card: further entries, such as the data that it was trained on.
    """

    space: str
    embed_dim: int
    towers: dict[str, TowerSpec]
    modalities: dict[str, list[str]] = field(default_factory=dict)
    logit_scales: dict[str, float] = field(default_factory=dict)
    templates: tuple[str, ...] | None = None
    card: dict = field(default_factory=dict)

    def to_dict(self) -> dict:
        towers = {m: spec.to_dict() for m, spec in self.towers.items()}
        return {**self.__dict__, "towers": towers}


def is_reference(spec: TowerSpec) -> bool:
    return spec.kind == "embedder" or bool(spec.lora)


def save_towers(folder: str | Path, description: Description, towers: dict[str, Tower]) -> None:
    """Write a folder; float tensors keep their type.

    Args:
        towers: in evaluation mode, one for each of the description's.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    specs, state = {}, {}
    modalities = {m: list(attribute(t.trunk, "modalities")) for m, t in towers.items()}
    for modality, tower in towers.items():
        spec, trunk = resolved(description.towers[modality]), tower.trunk
        spec = replace(spec, head=tower.head.kind)
        if spec.lora:
            saved = {f"adapter.{k}": v for k, v in adapter_state(trunk).items()}
        else:
            saved = {f"trunk.{k}": v for k, v in trunk.state_dict().items()}
        if not is_reference(spec):
            name, arguments = attribute(trunk, "skeleton")(spec.name, spec.arguments)
            spec = replace(spec, name=name, arguments=arguments)
            attribute(trunk, "save_files")(folder)
        saved |= {f"head.{k}": v for k, v in tower.head.state_dict().items()}
        if is_reference(spec):
            saved["probe"] = _probe_vector(tower, modality)
        state |= {f"{modality}.{k}": v.cpu().contiguous() for k, v in saved.items()}
        specs[modality] = spec
    with writing(folder / WEIGHTS) as file:
        save_file({k: v.clone() for k, v in state.items()}, file.name)
    write_json(folder / CONFIG, replace(description, towers=specs, modalities=modalities).to_dict())


def read_description(folder: str | Path) -> Description:
    """Raises BindplugError: the file is absent, or no such description."""
    path = Path(folder, CONFIG)
    try:
        data = json.loads(path.read_text("utf-8"))
        towers = {m: TowerSpec(**spec) for m, spec in data.pop("towers").items()}
        templates = data.pop("templates", None)
        out = Description(**data, towers=towers, templates=templates and tuple(templates))
        if not (isinstance(out.space, str) and isinstance(out.embed_dim, int) and towers):
            raise ValueError("space, embed_dim and towers are needed")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise BindplugError(f"{path}: not a folder of towers ({first_line(err)})") from err
    return out


def load_tower(
    folder: str | Path, modality: str, open_embedder: Callable, same: float = SAME
) -> Tower:
    """One tower of a folder, in evaluation mode, where `make_tower` puts it.

    Args:
        open_embedder: an embedder's name to the embedder, for towers that refer to one.
        same: least cosine of the known input's vectors; lower for embedders in half precision.

    Raises BindplugError: the folder is not whole, or the base that it refers to cannot be had or is
    another network than the one it was trained with."""
    folder = Path(folder)
    description = read_description(folder)
    spec = description.towers[modality]
    if spec.name.startswith("./"):
        spec = replace(spec, name=str(folder / spec.name))
    if spec.kind == "tower":
        tower = load_tower(spec.name.removeprefix("local:"), modality, open_embedder, same)
    else:
        bare = replace(spec, lora={})
        tower = make_tower(bare, description.embed_dim, open_embedder)
    load_state(tower, spec, folder, read_weights(folder, modality), same)
    return tower.eval()


def load_state(
    tower: Tower, spec: TowerSpec, folder: Path, state: dict[str, Tensor], same: float = SAME
) -> None:
    """Put the saved tensors of a tower (`read_weights`) into one that was built without its
    adapter; errors as in `load_tower`."""
    known = state.pop("probe", None)
    adapter = {k.removeprefix("adapter."): v for k, v in state.items() if k.startswith("adapter.")}
    own = {k: v for k, v in state.items() if not k.startswith("adapter.")}
    if is_reference(spec):
        own |= {f"trunk.{k}": v for k, v in tower.trunk.state_dict().items()}
    check_state(folder / WEIGHTS, own, tower.state_dict())
    tower.load_state_dict(own)
    if adapter:
        merge_adapter(tower.trunk, adapter)
    if known is not None:
        now = _probe_vector(tower.eval(), spec.modality)
        if float(known @ now) < same:
            raise BindplugError(
                f"{folder}: its {spec.modality} tower was trained on another "
                f"{spec.name or spec.kind} than the one that is here; get that version again"
            )


def read_weights(folder: Path, modality: str) -> dict[str, Tensor]:
    """The saved tensors of one tower, without its name.
    Raises BindplugError: they cannot be read."""
    return read_below(folder / WEIGHTS, f"{modality}.")


@torch.no_grad()
def _probe_vector(tower: Tower, modality: str) -> Tensor:
    """(D,) unit vector of the known input's first clip."""
    clips, _ = tower.trunk.transform(modality, probe(modality))
    device = next(iter(tower.state_dict().values()), clips).device
    if hasattr(tower.trunk, "embedder"):
        device = tower.trunk.embedder.device
    return tower(clips[:1].to(device))[0].cpu()
