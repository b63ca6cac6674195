"""State dicts: read without unpickling, checked against the shapes of a model."""

import zipfile
from pathlib import Path

import torch

from ..errors import BindplugError, first_line


def check_state(path: Path, state: dict, expected: dict[str, torch.Tensor]) -> None:
    """BindplugError that names the first key that is missing, of another shape, or not known."""
    for key in [*expected, *state]:
        problem = ""
        if key not in state:
            problem = f"no tensor {key!r}"
        elif key not in expected:
            problem = f"unknown tensor {key!r}"
        else:
            found, wanted = (tuple(getattr(of[key], "shape", ())) for of in (state, expected))
            if not isinstance(state[key], torch.Tensor) or found != wanted:
                problem = f"{key!r} has shape {found}, not {wanted}"
        if problem:
            raise BindplugError(f"{path}: not this model's checkpoint: {problem}")


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a `.safetensors` or `torch.save` file, memory-mapped where it can be;
    nothing is unpickled.
    Raises BindplugError: the file is absent, cut short, or holds more than tensors."""
    path = Path(path)
    if not path.is_file():
        raise BindplugError(f"{path}: no such checkpoint")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)  # memory-mapped: a page is read when it is touched
        # Files of torch before 1.6 are no zip archives and cannot be mapped.
        mapped = zipfile.is_zipfile(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as err:  # torch and safetensors raise many kinds for a broken file
        raise BindplugError(f"{path}: cannot be read as weights: {first_line(err)}") from err
    if not isinstance(state, dict):
        raise BindplugError(f"{path}: holds a {type(state).__name__}, not a state dict")
    return state
