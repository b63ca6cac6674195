"""State dicts: read without unpickling, checked against the shapes of a model."""

import hashlib
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import BindplugError, first_line

NO_WEIGHTS = (
    "it is no .pth or .safetensors checkpoint, holds more than tensors, or is cut short; download "
    "it again"
)


def check_state(path: Path, state: dict, expected: dict[str, Tensor]) -> None:
    """BindplugError that names the first key that is missing, of another shape, or not known."""
    for key in [*expected, *state]:
        problem = ""
        if key not in state:
            problem = f"no tensor {key!r}"
        elif key not in expected:
            problem = f"unknown tensor {key!r}"
        else:
            found, wanted = (tuple(getattr(of[key], "shape", ())) for of in (state, expected))
            if not isinstance(state[key], Tensor) or found != wanted:
                problem = f"{key!r} has shape {found}, not {wanted}"
        if problem:
            raise BindplugError(f"{path}: not this model's checkpoint: {problem}")


def read_state(path: str | Path) -> dict[str, Tensor]:
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
        why = first_line(err) if isinstance(err, OSError) else NO_WEIGHTS
        raise BindplugError(f"{path}: cannot be read as weights: {why}") from err
    if not isinstance(state, dict):
        raise BindplugError(f"{path}: holds a {type(state).__name__}, not a state dict")
    return state


def read_below(path: Path, prefix: str) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file whose names begin with a prefix, without it.
    Raises BindplugError: they cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            keys = [k for k in file.keys() if k.startswith(prefix)]  # noqa: SIM118
            return {k.removeprefix(prefix): file.get_tensor(k) for k in keys}
    except (OSError, SafetensorError) as err:
        raise BindplugError(f"{path}: cannot be read as weights ({first_line(err)})") from err


def state_digest(state: dict[str, Tensor]) -> str:
    """sha256, hex, of the names and the bytes of tensors."""
    digest = hashlib.sha256()
    for name, x in state.items():
        flat = x.detach().cpu().contiguous().reshape(-1)
        digest.update(name.encode())
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return digest.hexdigest()


def cast_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Parameters in `dtype`, in place, but for those of batch norms, which stay as they are."""
    for part in module.modules():
        if not isinstance(part, nn.modules.batchnorm._BatchNorm):
            for parameter in part.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)
