"""Stable Cascade's prior: a picture embedding beside the prompt."""

from __future__ import annotations

from torch import Tensor

from .common import one_row, settings

SPACES = {768: "openai-clip-vit-l-14"}
REGION = "image"
OPTIONS = ()


def width(pipe) -> int | None:
    config = getattr(getattr(pipe, "prior", None), "config", {})
    return config.get("clip_image_in_channels") if hasattr(config, "get") else None


def norm(width: int) -> float:
    """About what CLIP ViT-L/14's picture embeddings have."""
    return 10.0 if width in SPACES else width**0.5


def arguments(pipe, rows: Tensor, prompts: list[str]) -> dict:
    """
    Raises:
        BindplugError: rows that differ: diffusers repeats them all for each prompt.
    """
    row = one_row(rows, "Stable Cascade's prior takes one embedding a call")
    place = {"device": pipe.device, "dtype": pipe.prior.dtype}
    return {"image_embeds": row[:, None].to(**place), "prompt": prompts}


__all__ = ["OPTIONS", "REGION", "SPACES", "arguments", "norm", "settings", "width"]
