"""Reading and writing ImageBind weights: a folder of safetensors, or the released `.pth`."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path

import torch

from ..errors import BindplugError
from .config import ImageBindConfig, imagebind_huge
from .model import ImageBind
from .split import ready, sense_of, split

log = logging.getLogger("bindplug")

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def load_imagebind(path: str | Path, senses: list[str] | None = None) -> ImageBind:
    """An ImageBind in evaluation mode, float32 on the CPU.

    Args:
        path: a folder with `model.safetensors` and `config.json`, or a `.pth` / `.safetensors`
            file that holds imagebind_huge's state dict; that is split by sense on its first use,
            into the cache (`bindplug.weights.home`), and only the parts that are needed are read.
        senses: build and load only these; None loads all.

    Raises:
        BindplugError: no such checkpoint, not a state dict, or keys and shapes that do not fit
            the configuration (the first wrong key is named).
    """
    path = Path(path)
    if path.is_dir():
        config = read_config(path)[0]
        state = read_state(path / WEIGHTS)
    else:
        config = imagebind_huge()
        state = _released_state(path, config, senses)
    with torch.device("meta"):
        model = ImageBind(config, senses)
    if senses is not None:  # the senses that were not asked for are no error
        others = set(config.senses) - set(senses)
        state = {k: v for k, v in state.items() if sense_of(k) not in others}
    check_state(path, state, {k: v.shape for k, v in model.state_dict().items()})
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=True, assign=True)
    return model.eval()


def _released_state(path: Path, config: ImageBindConfig, senses: list[str] | None) -> dict:
    """The tensors of a file of the released model; on its first use it is split by sense."""
    if not path.is_file():
        raise BindplugError(f"{path}: no such checkpoint")
    senses = list(config.senses) if senses is None else senses
    files = ready(path, senses)
    if files is None:
        state = read_state(path)
        with torch.device("meta"):
            shapes = {k: v.shape for k, v in ImageBind(config).state_dict().items()}
        check_state(path, state, shapes)
        log.info("%s: splitting it by sense, once", path)
        try:
            split(path, state)
        except BindplugError as err:  # a full disk is no reason not to answer
            log.warning("%s; reading the whole file instead", err)
            return state
        files = ready(path, senses)
    return {k: v for f in files for k, v in read_state(f).items()}


def check_state(path: Path, state: dict, shapes: dict) -> None:
    """Name the first key that is missing, not known, or of a wrong shape."""
    for key, shape in shapes.items():
        if key not in state:
            raise BindplugError(f"{path}: not this model's checkpoint: no tensor {key!r}")
        found = tuple(getattr(state[key], "shape", ()))
        if not isinstance(state[key], torch.Tensor) or found != tuple(shape):
            raise BindplugError(
                f"{path}: not this model's checkpoint: {key!r} has shape {found}, "
                f"not {tuple(shape)}"
            )
    for key in state:
        if key not in shapes:
            raise BindplugError(f"{path}: not this model's checkpoint: unknown tensor {key!r}")


def read_config(folder: Path) -> tuple[ImageBindConfig, dict]:
    """The network's sizes and everything else in a folder's `config.json`.

    Raises:
        BindplugError: the file is absent or no such configuration.
    """
    path = folder / CONFIG
    try:
        about = json.loads(path.read_text())
        return ImageBindConfig.from_dict(about.pop("model")), about
    except OSError as err:
        raise BindplugError(
            f"{path}: cannot be read ({err.strerror}); is the folder whole?"
        ) from err
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise BindplugError(f"{path}: not a bindplug configuration: {err}") from err


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a `.safetensors` or `torch.save` file, memory-mapped; nothing is unpickled.

    Raises:
        BindplugError: the file is absent, cut short, or holds more than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise BindplugError(f"{path}: no such checkpoint")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)  # memory-mapped: a page is read when it is touched
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as err:  # torch and safetensors raise many kinds for a broken file
        reason = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise BindplugError(f"{path}: cannot be read as weights: {reason}") from err
    if not isinstance(state, dict):
        raise BindplugError(f"{path}: holds a {type(state).__name__}, not a state dict")
    return state


def save_imagebind(model: ImageBind, folder: str | Path, extra: dict | None = None) -> None:
    """Write `model.safetensors` (float16) and `config.json` to `folder`, each by rename.

    Args:
        extra: further entries of `config.json`, beside `model`.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().cpu().half().contiguous() for k, v in model.state_dict().items()}
    text = json.dumps({"model": model.config.to_dict(), **(extra or {})}, indent=1) + "\n"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        save_file(state, Path(scratch, WEIGHTS))
        Path(scratch, CONFIG).write_text(text)
        for name in (WEIGHTS, CONFIG):
            os.replace(Path(scratch, name), folder / name)
