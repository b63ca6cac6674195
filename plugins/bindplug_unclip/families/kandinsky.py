"""Kandinsky 2.2's decoder: the embedding takes the place of the prior's."""

from __future__ import annotations

from torch import Tensor

from bindplug.embedding.vectors import Embedding

from .common import negative_rows, no_prompt, settings

SPACES = {1280: "openclip-vit-bigg-14/laion2b"}
REGION = "image"
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
    no_prompt(prompts, "Kandinsky's decoder")
    away = negative_rows(negative, rows, norm(rows.shape[1]))
    place = {"device": pipe.device, "dtype": pipe.unet.dtype}
    return {"image_embeds": rows.to(**place), "negative_image_embeds": away.to(**place)}


__all__ = ["OPTIONS", "REGION", "SPACES", "arguments", "norm", "settings", "width"]
