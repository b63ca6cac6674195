"""Stable unCLIP: the embedding, noised, is half of the UNet's class label."""

from __future__ import annotations

from torch import Tensor

from bindplug.errors import BindplugError

from .common import settings

SPACES = {1024: "openclip-vit-h-14/laion2b", 768: "openai-clip-vit-l-14"}
REGION = "image"
OPTIONS = ("noise_level",)


def width(pipe) -> int | None:
    normalizer = getattr(pipe, "image_normalizer", None)
    return None if normalizer is None else normalizer.mean.shape[-1]


def norm(width: int) -> float:
    """What ImageBind's sounds had when the public demos conditioned stable unCLIP with them;
    OpenCLIP's own image embeddings are not normalised either, so a unit vector would drown in the
    noise."""
    return 20.0 if width in SPACES else width**0.5


def arguments(pipe, rows: Tensor, prompts: list[str], noise_level: int = 0) -> dict:
    """
    Args:
        noise_level: 0 to 999, noise on the embedding before it conditions.
    """
    if not 0 <= noise_level <= 999:
        raise BindplugError(f"noise level {noise_level}; give 0 to 999")
    return {
        "image_embeds": rows.to(device=pipe.device, dtype=pipe.unet.dtype),
        "prompt": prompts,  # a list, or diffusers fails for more than one row
        "noise_level": noise_level,
    }


__all__ = ["OPTIONS", "REGION", "SPACES", "arguments", "norm", "settings", "width"]
