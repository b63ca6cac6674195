"""An embedder from ImageBind weights on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ..embedding.embedder import Embedder
from ..embedding.modalities import MODALITIES, modalities_of, prepare
from ..errors import BindplugError, first_line
from ..plugins import Network
from ..storage.cache_dir import hub_access, is_offline
from ..storage.hashing import file_fingerprint
from .hub import record_commit, recorded_commit

HUGE_SPACE = "openclip-vit-h-14/laion2b"


class ImageBindNetwork(Network):
    """ImageBind as a Network, each trunk loaded when it is first needed.

    Args:
        config: sizes of the trunks.
        open_trunk: called with a trunk's name, returns an `ImageBind` that has it.
    """

    def __init__(self, config, open_trunk: Callable):
        self.config, self.open_trunk = config, open_trunk
        self.modalities = modalities_of(config.modalities)
        self._trunks, self._device, self._dtype, self._compile = {}, "cpu", None, False

    def options(self, modality: str) -> tuple[str, ...]:
        return MODALITIES[modality].options

    def transform(self, modality: str, item, **options):
        config = getattr(self.config, MODALITIES[modality].trunk)
        return prepare(modality, item, config, options)

    def encode(self, modality: str, clips):
        trunk = MODALITIES[modality].trunk
        return self._trunk(trunk).encode_clips(trunk, clips)

    def logit_scale(self, modality: str) -> float:
        trunk = MODALITIES[modality].trunk
        return self._trunk(trunk).logit_scale(trunk)

    def to(self, device: str) -> ImageBindNetwork:
        self._device = device
        for model in self._trunks.values():
            model.to(device)
        return self

    def cast(self, dtype) -> ImageBindNetwork:
        self._dtype = dtype
        for model in self._trunks.values():
            model.cast(dtype)
        return self

    def compile(self) -> ImageBindNetwork:
        self._compile = True
        for trunk, model in self._trunks.items():
            model.modality_trunks[trunk].compile()
        return self

    def _trunk(self, name: str):
        if name not in self._trunks:
            model = self.open_trunk(name)
            if self._dtype is not None:
                model.cast(self._dtype)
            if self._compile:
                model.modality_trunks[name].compile()
            self._trunks[name] = model.to(self._device)
        return self._trunks[name]


def open_local(path: str | Path, device: str = "cpu", split: bool = True, **settings) -> Embedder:
    """An embedder from a folder with `config.json`, or from a file of the released model.

    Args:
        split: as in `load_imagebind`.
        settings: as in `Embedder`.

    Raises:
        BindplugError: nothing is there, or it is no ImageBind.
    """
    from ..imagebind.checkpoint import CONFIG, WEIGHTS, load_imagebind, read_config
    from ..imagebind.config import imagebind_huge

    path = Path(path)
    if not path.exists():
        raise BindplugError(f"{path}: no such checkpoint")
    if path.is_dir():
        config, metadata = read_config(path)
        space, weights = metadata.get("space", str(path.resolve())), path / WEIGHTS
        templates = tuple(metadata["templates"]) if "templates" in metadata else None
    else:
        config, space, weights, templates = imagebind_huge(), HUGE_SPACE, path, None
    fingerprint = file_fingerprint(weights) if weights.exists() else ""
    if fingerprint and path.is_dir():  # sizes and templates decide what a text becomes, too
        fingerprint += f" {file_fingerprint(path / CONFIG)}"
    return Embedder(
        ImageBindNetwork(config, lambda trunk: load_imagebind(path, [trunk], split)),
        space,
        device,
        fingerprint=fingerprint,
        templates=templates,
        **settings,
    )


def open_hub(name: str, device: str = "cpu", **settings) -> Embedder:
    """An embedder from a repository of the Hugging Face hub, in the hub's own cache.

    Args:
        name: "ORG/REPO" or "ORG/REPO@REVISION", with a bindplug folder (`config.json` and
            `model.safetensors`), `imagebind_huge.pth`, or the released tensors as
            `model.safetensors`. Without a revision, the commit that was first fetched on this
            machine.
        settings: as in `Embedder`.

    Raises:
        BindplugError: it is not there and cannot be fetched, or holds no ImageBind.
    """
    from huggingface_hub import snapshot_download

    repo, _, revision = name.partition("@")
    try:
        with hub_access():
            folder = snapshot_download(
                repo,
                revision=revision or recorded_commit(repo),
                allow_patterns=["config.json", "model.safetensors", "imagebind_huge.pth"],
                local_files_only=is_offline(),
            )
    except Exception as err:  # the hub raises many kinds
        raise BindplugError(f"hf:{name}: cannot be fetched: {first_line(err)}") from err
    folder = Path(folder)
    if not revision:
        record_commit(repo, folder.name)  # a snapshot's folder is named by its commit
    released = folder / "imagebind_huge.pth"
    if released.exists():
        return open_local(released, device, **settings)
    config = folder / "config.json"
    if config.exists() and "model" in json.loads(config.read_text()):
        return open_local(folder, device, **settings)
    return open_local(folder / "model.safetensors", device, **settings)
