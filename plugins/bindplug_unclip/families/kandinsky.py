"""Kandinsky 2.2's decoder: the embedding takes the place of the prior's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bindplug.embedding import Embedding
from bindplug.errors import BindplugError

SPACES = {1280: "openclip-vit-bigg-14/laion2b"}
OPTIONS = ("negative",)


def width(pipe) -> int | None:
    config = getattr(getattr(pipe, "unet", None), "config", {})
    kind = config.get("encoder_hid_dim_type") if hasattr(config, "get") else None
    return config["encoder_hid_dim"] if kind == "image_proj" else None


def norm(width: int) -> float:
    """Nearly free: two linear layers with a LayerNorm follow. That of OpenCLIP's embeddings."""
    return width**0.5


def arguments(pipe, rows: Tensor, prompts: list[str], negative: Embedding | None = None) -> dict:
    """
    Args:
        negative: what the pictures shall be steered away from, one row or one for each; None is
            the zero vector.
    """
    if any(prompts):
        raise BindplugError("Kandinsky's decoder reads no prompt; mix a text into the embedding")
    away = torch.zeros_like(rows)
    if negative is not None:
        if negative.vectors.shape[1] != rows.shape[1] or len(negative) not in (1, len(rows)):
            raise BindplugError(
                f"negative of {len(negative)} x {negative.vectors.shape[1]} for {len(rows)} x "
                f"{rows.shape[1]} rows; give one row, or one for each"
            )
        vectors = np.broadcast_to(negative.vectors, rows.shape).copy()
        away = torch.from_numpy(vectors) * norm(rows.shape[1])
    place = {"device": pipe.device, "dtype": pipe.unet.dtype}
    return {"image_embeds": rows.to(**place), "negative_image_embeds": away.to(**place)}
