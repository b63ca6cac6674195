"""Kandinsky 2.2's decoder: the embedding takes the place of the prior's."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from bindplug.embedding.vectors import Embedding

from .base import Family, negative_rows, no_prompt


class Kandinsky(Family):
    """KandinskyV22Pipeline. The norm hardly matters: two linear layers with a LayerNorm follow."""

    spaces: ClassVar = {1280: "openclip-vit-bigg-14/laion2b"}
    options = ("negative",)

    @classmethod
    def width_of(cls, pipe) -> int | None:
        config = getattr(getattr(pipe, "unet", None), "config", {})
        kind = config.get("encoder_hid_dim_type") if hasattr(config, "get") else None
        return config["encoder_hid_dim"] if kind == "image_proj" else None

    def arguments(
        self, rows: Tensor, prompts: list[str], negative: Embedding | None = None
    ) -> dict:
        """
        Args:
            negative: what images are steered away from, one row or one for each; None is zeros.
        """
        no_prompt(prompts, "Kandinsky's decoder")
        away = negative_rows(negative, rows, self.norm)
        place = {"device": self.pipe.device, "dtype": self.pipe.unet.dtype}
        return {"image_embeds": rows.to(**place), "negative_image_embeds": away.to(**place)}
