"""An embedder from ImageBind weights on disk."""

from __future__ import annotations

from pathlib import Path

from ..embedder import SENSES, Embedder
from ..errors import BindplugError
from .checkpoint import load_imagebind, read_config

HUGE_SPACE = "openclip-vit-h-14/laion2b"


def open_local(path: str | Path, device: str = "cpu") -> Embedder:
    """An embedder from a folder with `config.json`, or from a file of the released model.

    Raises:
        BindplugError: nothing is there, or it is no ImageBind.
    """
    path = Path(path)
    if not path.exists():
        raise BindplugError(f"{path}: no such checkpoint")
    if path.is_dir():
        config, about = read_config(path)
        space = about.get("space", str(path.resolve()))
        senses = tuple(s for s, m in SENSES.items() if m in config.senses)
    else:
        space, senses = HUGE_SPACE, tuple(SENSES)
    return Embedder(lambda chosen: load_imagebind(path, chosen), space, senses, device)
