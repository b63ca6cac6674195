"""Stable Diffusion 1.5 and SDXL with a plain IP-Adapter: the embedding becomes prompt tokens."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError

from .base import Family, negative_rows, one_row


class IPAdapter(Family):
    """Any pipeline with one plain IP-Adapter in its UNet."""

    spaces: ClassVar = {1024: "openclip-vit-h-14/laion2b", 1280: "openclip-vit-bigg-14/laion2b"}
    options = ("guidance", "negative")

    @classmethod
    def width_of(cls, pipe) -> int | None:
        """
        Raises:
            BindplugError: an adapter that reads patches ("plus", "full face"), or several adapters.
        """
        layers = getattr(
            getattr(getattr(pipe, "unet", None), "encoder_hid_proj", None),
            "image_projection_layers", None,
        )  # fmt: skip
        if layers is None:
            return None
        if len(layers) != 1:
            raise BindplugError(f"{len(layers)} IP-Adapters are loaded; bindplug conditions one")
        projection = getattr(layers[0], "image_embeds", None)
        if projection is None:
            raise BindplugError(
                f"this IP-Adapter ({type(layers[0]).__name__}) reads an image's patches, not its "
                "embedding; load a plain one: ip-adapter_sd15 or ip-adapter_sdxl_vit-h"
            )
        return projection.in_features

    @property
    def norm(self) -> float:
        """About the length of OpenCLIP's image embeddings before normalisation. The adapter's
        LayerNorm makes lengths above 5 equivalent."""
        return 20.0

    def arguments(
        self, rows: Tensor, prompts: list[str], guidance: bool = True,
        negative: Embedding | None = None,
    ) -> dict:  # fmt: skip
        """
        Args:
            guidance: whether the call uses classifier-free guidance (a guidance scale above 1),
                which wants the unconditional half before the rows.
            negative: one row that images are steered away from; None is zeros.

        Raises:
            BindplugError: rows that differ. diffusers repeats the whole tensor for each prompt and
                then splits the tokens evenly, so every image would see the tokens of all rows.
        """
        why = "an IP-Adapter takes one embedding a call (diffusers would mix several)"
        row = one_row(rows, why)
        halves = [negative_rows(negative, row, self.norm), row] if guidance else [row]
        rows = torch.stack(halves).to(device=self.pipe.device, dtype=self.pipe.unet.dtype)
        return {"ip_adapter_image_embeds": [rows], "prompt": prompts}
