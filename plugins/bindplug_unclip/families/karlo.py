"""Karlo, an open unCLIP (DALL-E 2, arXiv 2204.06125): the embedding takes the text embedding's
place before the prior, as in the ImageBind paper; the prior makes the image embedding of it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .base import Family


class Karlo(Family):
    """UnCLIPPipeline. Its size is its super-resolution network's."""

    spaces: ClassVar = {768: "openai-clip-vit-l-14"}
    # About the length of CLIP ViT-L/14's embeddings before normalisation.
    released_norm = 10.0
    region = "text"
    setting_names: ClassVar = {"steps": "decoder_num_inference_steps",
                     "guidance_scale": "decoder_guidance_scale"}  # fmt: skip

    @classmethod
    def width_of(cls, pipe) -> int | None:
        if not (hasattr(pipe, "prior") and hasattr(pipe, "super_res_first")):
            return None
        return pipe.text_encoder.config.projection_dim

    @property
    def size(self) -> int:
        return self.pipe.super_res_last.config.sample_size

    def arguments(self, rows: Tensor, prompts: list[str]) -> dict:
        """Rows as pooled text; the token states, the other half of the condition, are the prompt's,
        the empty string's by default."""
        pipe = self.pipe
        tokens = pipe.tokenizer(
            prompts,
            padding="max_length",
            max_length=pipe.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            states = pipe.text_encoder(tokens.input_ids.to(pipe.device)).last_hidden_state
        rows = rows.to(device=pipe.device, dtype=states.dtype)
        mask = tokens.attention_mask.bool().to(pipe.device)
        return {"text_model_output": (rows, states), "text_attention_mask": mask}
