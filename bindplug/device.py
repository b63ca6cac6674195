"""Devices and precisions by name."""

import logging

from .errors import BindplugError, check_choice

log = logging.getLogger(__name__)

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


def torch_dtype(name: str, device: str):
    """torch's type of a name; warns of one that is slow on this device.
    Raises BindplugError: none of float32, bfloat16 and float16."""
    import torch

    check_choice("dtype", name, DTYPES)
    if name != "float32" and not computes_in(name, device):
        log.warning("this CPU has no instructions for %s, so float32 is many times faster", name)
    return getattr(torch, name)


def computes_in(name: str, device: str) -> bool:
    """Whether a device has instructions for bfloat16 or float16. A CPU without them takes 10 to 60
    times as long as in float32."""
    import torch

    if torch.device(device).type != "cpu":
        return True
    short = {"bfloat16": "bf16", "float16": "fp16"}[name]
    ask = getattr(torch.ops.mkldnn, f"_is_mkldnn_{short}_supported", None)
    return torch.backends.mkldnn.is_available() and ask is not None and ask()


def mixed_precision(device):
    """A context in which a device that computes in bfloat16 does so (autocast), for
    `device`, a torch device."""
    import torch

    on = computes_in("bfloat16", str(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=on)
