"""Devices and precisions by name."""

from .errors import BindplugError, check_choice

DTYPES = ("float32", "bfloat16", "float16")


def pick_device(device: str = "auto") -> str:
    """A torch device name; "auto" is the GPU when there is one.
    Raises BindplugError: unknown, or not on this machine."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as err:
        raise BindplugError(
            f"device {device!r} cannot be used here; choose auto, cpu, cuda, cuda:1 or mps"
        ) from err
    if device == "meta":
        raise BindplugError("device 'meta' holds no data; choose auto, cpu or cuda")
    return device


def torch_dtype(name: str):
    """torch's type of a name.
    Raises BindplugError: none of float32, bfloat16 and float16."""
    import torch

    check_choice("dtype", name, DTYPES)
    return getattr(torch, name)
