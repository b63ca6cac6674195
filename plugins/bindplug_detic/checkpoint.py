"""Tensors of a Detic checkpoint under upstream's names, checked against the network's."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from bindplug.errors import BindplugError
from bindplug.storage.state_dict import check_state, read_state

from .config import DeticConfig, config_from_state
from .swin import relative_position_index


def read_checkpoint(
    path: str | Path, config: DeticConfig | None
) -> tuple[DeticConfig, dict[str, Tensor]]:
    """The sizes and tensors of a file that holds upstream's keys, bare or under `model`.

    Args:
        config: sizes; None reads them off the keys.

    Raises:
        BindplugError: not a Detic checkpoint of the CenterNet2 family.
    """
    state = read_state(path)
    state = state.get("model", state)
    if not isinstance(state, dict):
        raise BindplugError(f"{path}: `model` is no state dict")
    state = {k: torch.as_tensor(v) for k, v in state.items()}
    if state and all(k.startswith("module.") for k in state):
        state = {k.removeprefix("module."): v for k, v in state.items()}
    try:
        return config or config_from_state(state), state
    except BindplugError as err:
        raise BindplugError(f"{path}: {err}") from err


def select(
    path: str | Path, state: dict[str, Tensor], wanted: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Those tensors that a network wants, in float32; what inference does not need is left out.

    Args:
        wanted: the network's own state dict, for names and shapes.

    Raises:
        BindplugError: a tensor that is absent or of another shape; the first is named.
    """
    chosen = {}
    for key in wanted:
        if key.endswith("num_batches_tracked"):
            chosen[key] = torch.zeros((), dtype=torch.long)
        elif key in state:
            is_index = key.endswith("relative_position_index")
            chosen[key] = state[key] if is_index else state[key].float()
            if is_index and not torch.equal(state[key], relative_position_index()):
                raise BindplugError(f"{path}: {key!r} is not that of 7x7 windows")
    check_state(path, chosen, {key: own.shape for key, own in wanted.items()})
    return chosen
