"""A folder of towers as a Network."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from ...embedding.embedder import Embedder
from ...plugins import Network, NumpyTransform
from ...storage.hashing import file_fingerprint
from ...storage.state_dict import cast_weights
from .folder import CONFIG, SAME, SAME_IN_HALF, WEIGHTS, load_tower, read_description
from .tower import Tower, attribute


class TowersNetwork(Network):
    """Towers of one folder, each loaded when it is first needed.

    Args:
        folder: as `bindplug.models.towers.folder.save_towers` writes it.
        load_embedder: of the embedders that the folder refers to.
    """

    def __init__(self, folder: str | Path, load_embedder: Callable):
        self.folder, self.description = Path(folder), read_description(folder)
        self._load_embedder = load_embedder
        self._towers: dict[str, Tower] = {}
        named = self.description.modalities
        self._tower_of = {
            modality: name
            for name in self.description.towers
            for modality in named.get(name, [name])
        }
        self.modalities = tuple(self._tower_of)
        self._device, self._dtype, self._compile = "cpu", torch.float32, False

    def options(self, modality: str) -> tuple[str, ...]:
        return attribute(self._tower(modality).trunk, "options")(modality)

    def transform(self, modality: str, item, **options) -> tuple[Tensor, tuple]:
        return self._tower(modality).trunk.transform(modality, item, **options)

    def numpy_transform(self, modality: str) -> NumpyTransform | None:
        return attribute(self._tower(modality).trunk, "numpy_transform")(modality)

    def encode(self, modality: str, clips: Tensor) -> Tensor:
        if clips.is_floating_point():
            clips = clips.to(self._dtype)
        return self._tower(modality)(clips)

    def logit_scale(self, modality: str) -> float:
        return self.description.logit_scales.get(modality, 1.0)

    def to(self, device: str) -> TowersNetwork:
        return self._change(device=device)

    def cast(self, dtype: torch.dtype) -> TowersNetwork:
        return self._change(dtype=dtype)

    def compile(self) -> TowersNetwork:
        return self._change(compile=True)

    def _change(self, **settings) -> TowersNetwork:
        """Towers are loaded anew with other settings."""
        self.__dict__.update({f"_{name}": value for name, value in settings.items()})
        self._towers.clear()
        self._base = cache(self._open_base)
        return self

    def _open_base(self, name: str) -> Embedder:
        dtype = str(self._dtype).removeprefix("torch.")
        return self._load_embedder(name, self._device, dtype=dtype, compile=self._compile)

    def _tower(self, modality: str) -> Tower:
        name = self._tower_of[modality]
        if name not in self._towers:
            with torch.inference_mode(False):  # so that the tower can be trained on
                same = SAME if self._dtype is torch.float32 else SAME_IN_HALF
                tower = load_tower(self.folder, name, self._base, same).to(self._device)
            cast_weights(tower.trunk, self._dtype)
            if self._compile:
                tower.trunk.compile()
            self._towers[name] = tower
        return self._towers[name]


def is_towers(path: Path) -> bool:
    """Whether a path is a folder of towers, and not, say, one of ImageBind's weights."""
    try:
        return path.is_dir() and "towers" in json.loads((path / CONFIG).read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def open_towers(
    folder: str | Path, load_embedder: Callable, device: str = "cpu", **settings
) -> Embedder:
    """An embedder from a folder of towers.

    Args:
        load_embedder: of the embedders that the folder refers to.
        settings: as in `Embedder`.

    Raises BindplugError: the folder is not whole, or its configuration lacks something."""
    folder = Path(folder)
    network = TowersNetwork(folder, load_embedder)
    description = network.description
    files = [file_fingerprint(folder / name) for name in (CONFIG, WEIGHTS)]
    bases = {s.name for s in description.towers.values() if s.kind == "embedder"}
    files += [load_embedder(name, device).fingerprint for name in sorted(bases)]
    return Embedder(
        network, description.space, device, fingerprint=" ".join(files) if all(files) else "",
        templates=description.templates, **settings,
    )  # fmt: skip
