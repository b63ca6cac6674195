"""An embedder from ImageBind weights on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ..embedding.embedder import Embedder
from ..embedding.modalities import MODALITIES, modalities_of, numpy_prepare, prepare
from ..errors import BindplugError, first_line, kind_of
from ..plugins import Network, NumpyTransform
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
        self._trunks, self._changes = {}, []

    def options(self, modality: str) -> tuple[str, ...]:
        return MODALITIES[modality].options

    def transform(self, modality: str, item, **options):
        return prepare(modality, item, self._sizes(modality), options)

    def numpy_transform(self, modality: str) -> NumpyTransform | None:
        return numpy_prepare(modality, self._sizes(modality))

    def encode(self, modality: str, clips):
        trunk = MODALITIES[modality].trunk
        return self._trunk(trunk).encode_clips(trunk, clips)

    def logit_scale(self, modality: str) -> float:
        trunk = MODALITIES[modality].trunk
        return self._trunk(trunk).logit_scale(trunk)

    def to(self, device: str) -> ImageBindNetwork:
        return self._change(lambda model, trunk: model.to(device))

    def cast(self, dtype) -> ImageBindNetwork:
        return self._change(lambda model, trunk: model.cast(dtype))

    def compile(self) -> ImageBindNetwork:
        return self._change(lambda model, trunk: model.modality_trunks[trunk].compile())

    def _sizes(self, modality: str):
        return getattr(self.config, MODALITIES[modality].trunk)

    def _change(self, change: Callable) -> ImageBindNetwork:
        """Of the trunks that are loaded, and of each that will be."""
        self._changes.append(change)
        for trunk, model in self._trunks.items():
            change(model, trunk)
        return self

    def _trunk(self, name: str):
        if name not in self._trunks:
            model = self.open_trunk(name)
            for change in self._changes:
                change(model, name)
            self._trunks[name] = model
        return self._trunks[name]


def open_local(path: str | Path, device: str = "cpu", split: bool = True, **settings) -> Embedder:
    """An embedder from a folder with `config.json`, or from a file of the released model.

    Args:
        split: as in `load_imagebind`.
        settings: as in `Embedder`.

    Raises BindplugError: nothing is there, or it is no ImageBind."""
    from ..imagebind.checkpoint import CONFIG, WEIGHTS, load_imagebind, read_config
    from ..imagebind.config import imagebind_huge

    path = Path(path)
    if not path.exists():
        raise BindplugError(f"{path}: no such checkpoint")
    if path.is_dir():
        config, metadata = read_config(path)
        files = [path / WEIGHTS, path / CONFIG]  # sizes and templates decide what a text becomes
    else:
        config, metadata, files = imagebind_huge(), {"space": HUGE_SPACE}, [path]
    templates = metadata.get("templates")
    return Embedder(
        ImageBindNetwork(config, lambda trunk: load_imagebind(path, [trunk], split)),
        metadata.get("space", str(path.resolve())),
        device,
        fingerprint=" ".join(map(file_fingerprint, files)) if files[0].exists() else "",
        templates=templates and tuple(templates),
        **settings,
    )


def fetch_hub(name: str) -> Path:
    """The folder or file of an embedder from a repository of the Hugging Face hub, in the hub's
    own cache.

    Args:
        name: "ORG/REPO" or "ORG/REPO@REVISION", with a bindplug folder (`config.json` and
            `model.safetensors`), `imagebind_huge.pth`, or the released tensors as
            `model.safetensors`. Without a revision, the commit that was first fetched on this
            machine.

    Raises BindplugError: it is not there and cannot be fetched."""
    from huggingface_hub import snapshot_download

    repo, _, revision = name.partition("@")
    try:
        with hub_access():
            wanted = revision or recorded_commit(repo)
            patterns = ["*.json", "*.txt", "model.safetensors", "imagebind_huge.pth"]
            folder = snapshot_download(
                repo, revision=wanted, allow_patterns=patterns, local_files_only=is_offline()
            )
    except Exception as err:  # the hub raises many kinds
        raise kind_of(err)(f"hf:{name}: cannot be fetched: {first_line(err)}") from err
    folder = Path(folder)
    if not revision:
        record_commit(repo, folder.name)  # a snapshot's folder is named by its commit
    released, config = folder / "imagebind_huge.pth", folder / "config.json"
    if released.exists():
        return released
    if config.exists() and {"model", "towers"} & set(json.loads(config.read_text())):
        return folder
    return folder / "model.safetensors"
