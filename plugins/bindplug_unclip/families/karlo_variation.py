"""Karlo's image variations: the embedding takes the place of the one that its CLIP makes of an
image."""

from __future__ import annotations

from torch import Tensor

from .base import no_prompt
from .karlo import Karlo


class KarloVariation(Karlo):
    """UnCLIPImageVariationPipeline."""

    region = "image"

    @classmethod
    def width_of(cls, pipe) -> int | None:
        if hasattr(pipe, "prior") or not hasattr(pipe, "super_res_first"):
            return None
        return pipe.text_proj.config.clip_embeddings_dim

    def arguments(self, rows: Tensor, prompts: list[str]) -> dict:
        no_prompt(prompts, "Karlo's variation pipeline")
        place = {"device": self.pipe.device, "dtype": self.pipe.decoder.dtype}
        return {"image_embeddings": rows.to(**place)}
