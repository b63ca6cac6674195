"""State dicts: read without unpickling, checked against the shapes of a model."""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import BindplugError, first_line


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
        raise BindplugError(f"{path}: cannot be read as weights: {first_line(err)}") from err
    if not isinstance(state, dict):
        raise BindplugError(f"{path}: holds a {type(state).__name__}, not a state dict")
    return state
