"""Trunks with a linear head each into one space, as a Network: the shipped small embedders."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...embedding.embedder import Embedder
from ...errors import BindplugError
from ...plugins import Network, NumpyTransform
from ...storage.hashing import file_fingerprint
from ...storage.state_dict import cast_weights, check_state, read_below
from .audio import AudioTrunk, transform_audio
from .image import ImageTrunk, transform_image, transform_video
from .text import TextTrunk
from .words import WordTable

CONFIG, WEIGHTS = "config.json", "model.safetensors"
SHIPPED = Path(__file__).parent / WEIGHTS  # some of whose tensors other folders share
CONFIG_KEYS = {"space": str, "embed_dim": int, "temperature": float, "templates": list}
TOWERS = {"image": "image", "video": "image", "text": "text", "audio": "audio"}


class Tower(nn.Module):
    """A trunk and its linear head: inputs to (B, D) float32 unit vectors."""

    def __init__(self, trunk: nn.Module, width: int):
        super().__init__()
        self.trunk, self.head = trunk, nn.Linear(trunk.width, width)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_floating_point():
            x = x.to(self.head.weight.dtype)
        return F.normalize(self.head(self.trunk(x)).float(), dim=-1)


def make_tower(name: str, config: dict) -> Tower:
    """One tower of a configuration ("image", "text" or "audio"), with untrained weights."""
    settings = config[name]
    if name == "image":
        trunk = ImageTrunk(settings["trunk"])
    elif name == "text":
        trunk = TextTrunk(settings["rows"], settings["width"], settings["hidden"])
    else:
        trunk = AudioTrunk(config["embed_dim"])
    return Tower(trunk, config["embed_dim"])


class SmallNetwork(Network):
    """Towers from one folder, each read when it is first needed.

    Args:
        folder: with `config.json` and `model.safetensors`.
        config: what `config.json` holds: "embed_dim", "temperature", and settings of the towers
            "image" ("trunk": timm's name, "size": pixels), "text" ("rows", "width", "hidden") and
            "audio"; "shared" lists prefixes of tensors that are the shipped embedder's, and not in
            the file.
    """

    def __init__(self, folder: Path, config: dict):
        self.folder, self.config = folder, config
        self.modalities = tuple(m for m, tower in TOWERS.items() if tower in config)
        self._towers: dict[str, Tower] = {}
        self._words: WordTable | None = None
        self._device, self._dtype, self._compile = "cpu", None, False

    def options(self, modality: str) -> tuple[str, ...]:
        if modality == "text":
            return ()
        function = {"image": transform_image, "video": transform_video, "audio": transform_audio}
        names = inspect.signature(function[modality]).parameters
        return tuple(n for n in names if n not in ("source", "size"))

    def transform(self, modality: str, item, **options) -> tuple[Tensor, tuple]:
        if modality == "audio":
            clips, bounds = transform_audio(item, **options)
            return clips, tuple(bounds)
        if modality == "text":
            if self._words is None:
                self._words = WordTable(**self._word_arrays())
            return torch.from_numpy(self._words(item))[None], ()
        size = self.config["image"]["size"]
        if modality == "video":
            clips, bounds = transform_video(item, size, **options)
            return clips, tuple(bounds)
        return transform_image(item, size, **options)[None], ()

    def numpy_transform(self, modality: str) -> NumpyTransform | None:
        if modality == "text":
            return NumpyTransform("small/text", arrays=self._word_arrays())
        if modality == "audio":
            return NumpyTransform("small/audio")
        if modality == "image":
            return NumpyTransform("small/image", {"size": self.config["image"]["size"]})
        return None

    def _word_arrays(self) -> dict[str, np.ndarray]:
        return {name: table.numpy() for name, table in self._read("words.").items()}

    def encode(self, modality: str, clips: Tensor) -> Tensor:
        with torch.inference_mode():
            return self._tower(TOWERS[modality])(clips)

    def logit_scale(self, modality: str) -> float:
        """1 / temperature of the image-text training for text, 1 for all others."""
        return 1 / self.config["temperature"] if modality == "text" else 1.0

    def to(self, device: str) -> SmallNetwork:
        self._device = device
        for tower in self._towers.values():
            tower.to(device)
        return self

    def cast(self, dtype: torch.dtype) -> SmallNetwork:
        self._dtype = dtype
        for tower in self._towers.values():
            cast_weights(tower, dtype)
        return self

    def compile(self) -> SmallNetwork:
        self._compile = True
        for tower in self._towers.values():
            tower.trunk.compile()
        return self

    def _read(self, prefix: str) -> dict[str, Tensor]:
        """The tensors below a prefix, from this folder's file and from what it shares."""
        out, shared = read_below(self.folder / WEIGHTS, prefix), self.config.get("shared", ())
        if any(name.startswith(prefix) or prefix.startswith(name) for name in shared):
            found = read_below(SHIPPED, prefix)
            out |= {k: x for k, x in found.items() if f"{prefix}{k}".startswith(tuple(shared))}
        return out

    def _tower(self, name: str) -> Tower:
        if name not in self._towers:
            with torch.inference_mode(False):  # so that the tower can be moved and cast later
                tower = make_tower(name, self.config)
            state = {k: v.float() for k, v in self._read(f"{name}.").items()}
            expected = tower.state_dict()
            state |= {k: v for k, v in expected.items() if k.endswith("num_batches_tracked")}
            check_state(self.folder / WEIGHTS, state, expected)
            tower.load_state_dict(state)
            if self._dtype is not None:
                cast_weights(tower, self._dtype)
            if self._compile:
                tower.trunk.compile()
            self._towers[name] = tower.eval().to(self._device)
        return self._towers[name]


def open_folder(folder: str | Path, device: str = "cpu", **settings) -> Embedder:
    """An embedder from a folder of towers.

    Args:
        settings: as in `Embedder`.

    Raises BindplugError: the folder is not whole, or its configuration lacks something."""
    folder = Path(folder)
    try:
        config = json.loads((folder / CONFIG).read_text())
        for key, kind in CONFIG_KEYS.items():
            if not isinstance(config[key], kind):
                raise ValueError(f"{key!r} is {config[key]!r}")
        files = [folder / WEIGHTS, folder / CONFIG]
        files += [SHIPPED] if config.get("shared") else []
        fingerprint = " ".join(file_fingerprint(path) for path in files)
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise BindplugError(f"{folder}: not a folder of towers ({err}); is it complete?") from err
    return Embedder(
        SmallNetwork(folder, config),
        config["space"],
        device,
        fingerprint=fingerprint,
        templates=tuple(config["templates"]),
        **settings,
    )
