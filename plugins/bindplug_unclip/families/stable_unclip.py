"""Stable unCLIP: the embedding, noised, is half of the UNet's class label."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from bindplug.generation.settings import whole_number

from .base import Family


class StableUnCLIP(Family):
    """StableUnCLIPImg2ImgPipeline."""

    spaces: ClassVar = {1024: "openclip-vit-h-14/laion2b", 768: "openai-clip-vit-l-14"}
    # 20 for released weights: the logit scale that ImageBind's audio embeddings were
    # multiplied by when the public demos conditioned stable unCLIP with them. OpenCLIP's own
    # image embeddings are not normalised either: noise would drown a unit vector.
    released_norm = 20.0
    options = ("noise_level",)

    @classmethod
    def width_of(cls, pipe) -> int | None:
        normalizer = getattr(pipe, "image_normalizer", None)
        return None if normalizer is None else normalizer.mean.shape[-1]

    def arguments(self, rows: Tensor, prompts: list[str], noise_level: int = 0) -> dict:
        """
        Args:
            noise_level: 0 to 999, noise on the embedding before it conditions.
        """
        return {
            "image_embeds": rows.to(device=self.pipe.device, dtype=self.pipe.unet.dtype),
            "prompt": prompts,  # a list, or diffusers fails for more than one row
            "noise_level": whole_number("noise level", noise_level, 0, 999),
        }
