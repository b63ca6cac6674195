"""An embedder from ImageBind weights on disk."""

from __future__ import annotations

import json
from pathlib import Path

from ..embedder import Embedder
from ..errors import BindplugError
from ..senses import SENSES, spoken
from ..weights import file_identity, is_offline

HUGE_SPACE = "openclip-vit-h-14/laion2b"


def open_local(path: str | Path, device: str = "cpu", **settings) -> Embedder:
    """An embedder from a folder with `config.json`, or from a file of the released model.

    Args:
        settings: as in `Embedder`.

    Raises:
        BindplugError: nothing is there, or it is no ImageBind.
    """
    from .checkpoint import WEIGHTS, load_imagebind, read_config

    path = Path(path)
    if not path.exists():
        raise BindplugError(f"{path}: no such checkpoint")
    if path.is_dir():
        config, about = read_config(path)
        space = about.get("space", str(path.resolve()))
        senses, weights = spoken(config.senses), path / WEIGHTS
        templates = tuple(about["templates"]) if "templates" in about else None
    else:
        space, senses, weights, templates = HUGE_SPACE, tuple(SENSES), path, None
    identity = file_identity(weights) if weights.exists() else ""
    return Embedder(
        lambda chosen: load_imagebind(path, chosen),
        space,
        senses,
        device,
        identity=identity,
        templates=templates,
        **settings,
    )


def open_hub(name: str, device: str = "cpu", **settings) -> Embedder:
    """An embedder from a repository of the Hugging Face hub, in the hub's own cache.

    Args:
        name: "ORG/REPO" or "ORG/REPO@REVISION", with a bindplug folder (`config.json` and
            `model.safetensors`), `imagebind_huge.pth`, or the released tensors as
            `model.safetensors`.
        settings: as in `Embedder`.

    Raises:
        BindplugError: it is not there and cannot be fetched, or holds no ImageBind.
    """
    from huggingface_hub import snapshot_download

    repo, _, revision = name.partition("@")
    try:
        folder = snapshot_download(
            repo,
            revision=revision or None,
            allow_patterns=["config.json", "model.safetensors", "imagebind_huge.pth"],
            local_files_only=is_offline(),
        )
    except Exception as err:  # the hub raises many kinds
        reason = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise BindplugError(f"hf:{name}: cannot be fetched: {reason}") from err
    folder = Path(folder)
    released = folder / "imagebind_huge.pth"
    if released.exists():
        return open_local(released, device, **settings)
    config = folder / "config.json"
    if config.exists() and "model" in json.loads(config.read_text()):
        return open_local(folder, device, **settings)
    return open_local(folder / "model.safetensors", device, **settings)
