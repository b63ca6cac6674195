"""Reading and writing ImageBind weights: a folder of safetensors, or the released `.pth`."""

import json
import logging
import shutil
from pathlib import Path

import torch

from ..errors import BindplugError
from ..storage.atomic import reason, write_json, writing
from ..storage.cache_dir import cache_dir
from ..storage.state_dict import check_state, read_state
from . import split as parts
from .config import ImageBindConfig, imagebind_huge
from .model import ImageBind

log = logging.getLogger("bindplug")

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def load_imagebind(
    path: str | Path, modalities: list[str] | None = None, split: bool = True
) -> ImageBind:
    """An ImageBind in evaluation mode, float32 on the CPU.

    Args:
        path: a folder with `model.safetensors` and `config.json`, or a `.pth` / `.safetensors`
            file that holds imagebind_huge's state dict.
        modalities: build and load only these trunks; None loads all.
        split: copy such a file on its first use to the cache folder (`cache_dir`), one file a
            trunk, and read only the parts that are needed; False reads it memory-mapped as it is.

    Raises BindplugError: no such checkpoint, not a state dict, or keys and shapes that do not fit
    the configuration (the first wrong key is named)."""
    path = Path(path)
    if path.is_dir():
        config, state = read_config(path)[0], read_state(path / WEIGHTS)
    else:
        config = imagebind_huge()
        state = _released_state(path, config, modalities, split)
    with torch.device("meta"):
        model = ImageBind(config, modalities)
    if modalities is not None:  # the trunks that were not asked for are no error
        others = set(config.modalities) - set(modalities)
        state = {k: v for k, v in state.items() if parts.modality_of_key(k) not in others}
    check_state(path, state, model.state_dict())
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=True, assign=True)
    return model.eval()


def _released_state(path: Path, config: ImageBindConfig, modalities: list[str] | None, split: bool):
    """The tensors of a file of the released model; on its first use it is split by trunk."""
    if not path.is_file():
        raise BindplugError(f"{path}: no such checkpoint")
    modalities = list(config.modalities) if modalities is None else modalities
    files = parts.ready(path, modalities) if split else None
    if files is None:
        state = read_state(path)
        with torch.device("meta"):
            check_state(path, state, ImageBind(config).state_dict())
        if not split:
            return state
        folder = next(f for f in (cache_dir(), *cache_dir().parents) if f.exists())
        log.warning(
            "%s: its first use writes a copy of %.1f GB, split by modality, to %s (%.1f GB free); "
            "split=False, or --no-split, reads the file as it is",
            path, path.stat().st_size / 1e9, cache_dir(), shutil.disk_usage(folder).free / 1e9,
        )  # fmt: skip
        try:
            parts.split(path, state)
        except BindplugError as err:  # a full disk is no reason not to answer
            log.warning("%s; reading the whole file instead", err)
            return state
        files = parts.ready(path, modalities)
        if files is None:  # another process made room meanwhile
            return state
    return {k: v for f in files for k, v in read_state(f).items()}


def read_config(folder: Path) -> tuple[ImageBindConfig, dict]:
    """The network's sizes and everything else in a folder's `config.json`.
    Raises BindplugError: the file is absent or no such configuration."""
    path = folder / CONFIG
    try:
        metadata = json.loads(path.read_text())
        return ImageBindConfig.from_dict(metadata.pop("model")), metadata
    except OSError as err:
        raise BindplugError(
            f"{path}: cannot be read ({reason(err)}); is the folder complete?"
        ) from err
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise BindplugError(f"{path}: not a bindplug configuration: {err}") from err


def save_imagebind(model: ImageBind, folder: str | Path, extra: dict | None = None) -> None:
    """Write `model.safetensors` (float16) and `config.json` to `folder`, each by rename.

    Args:
        extra: further entries of `config.json`, beside `model`.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().cpu().half().contiguous() for k, v in model.state_dict().items()}
    with writing(folder / WEIGHTS) as file:
        save_file(state, file.name)
    write_json(folder / CONFIG, {"model": model.config.to_dict(), **(extra or {})})
