"""Stable Cascade's prior: an image embedding beside the prompt."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from .base import Family, one_row


class CascadePrior(Family):
    """StableCascadePriorPipeline; its decoder is the user's."""

    spaces: ClassVar = {768: "openai-clip-vit-l-14"}
    # About the length of CLIP ViT-L/14's image embeddings before normalisation.
    released_norm = 10.0

    @classmethod
    def width_of(cls, pipe) -> int | None:
        config = getattr(getattr(pipe, "prior", None), "config", {})
        return config.get("clip_image_in_channels") if hasattr(config, "get") else None

    def arguments(self, rows: Tensor, prompts: list[str]) -> dict:
        """
        Raises:
            BindplugError: rows that differ: diffusers repeats them all for each prompt.
        """
        row = one_row(rows, "Stable Cascade's prior takes one embedding a call")
        place = {"device": self.pipe.device, "dtype": self.pipe.prior.dtype}
        return {"image_embeds": row[:, None].to(**place), "prompt": prompts}
