"""What several families do alike."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError


def settings(steps: int, guidance_scale: float, height: int, width: int) -> dict:
    """The names that most pipelines have for them."""
    return {
        "num_inference_steps": steps,
        "guidance_scale": guidance_scale,
        "height": height,
        "width": width,
    }


def negative_rows(negative: Embedding | None, rows: Tensor, norm: float) -> Tensor:
    """(N, D) of what the pictures shall be steered away from; zeros for nothing.

    Raises:
        BindplugError: a wrong width, or neither one row nor one for each.
    """
    if negative is None:
        return torch.zeros_like(rows)
    if negative.vectors.shape[1] != rows.shape[1] or len(negative) not in (1, len(rows)):
        raise BindplugError(
            f"negative of {len(negative)} x {negative.vectors.shape[1]} for {len(rows)} x "
            f"{rows.shape[1]} rows; give one row, or one for each"
        )
    return torch.from_numpy(np.broadcast_to(negative.vectors, rows.shape) * np.float32(norm))


def one_row(rows: Tensor, why: str) -> Tensor:
    """The first row of rows that are all the same.

    Raises:
        BindplugError: rows that differ.
    """
    if not bool((rows == rows[:1]).all()):
        raise BindplugError(f"{why}; call it once for each row")
    return rows[:1]


def no_prompt(prompts: list[str], name: str) -> None:
    """
    Raises:
        BindplugError: there is a prompt.
    """
    if any(prompts):
        raise BindplugError(f"{name} reads no prompt; mix a text into the embedding")
