"""Karlo, the open DALL-E 2: the embedding takes the text's place before the prior, as the paper
did; the prior finds the picture embedding."""

from __future__ import annotations

import torch
from torch import Tensor

SPACES = {768: "openai-clip-vit-l-14"}
REGION = "text"
OPTIONS = ()


def width(pipe) -> int | None:
    if not (hasattr(pipe, "prior") and hasattr(pipe, "super_res_first")):
        return None
    return pipe.text_encoder.config.projection_dim


def norm(width: int) -> float:
    """About what CLIP ViT-L/14's text embeddings have."""
    return 10.0 if width in SPACES else width**0.5


def arguments(pipe, rows: Tensor, prompts: list[str]) -> dict:
    """Rows as pooled text; the tokens' states, the other half of the condition, are the prompt's,
    the empty string's by default."""
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


def settings(steps: int, guidance_scale: float, height: int, width: int) -> dict:
    """Karlo's size is its own."""
    return {"decoder_num_inference_steps": steps, "decoder_guidance_scale": guidance_scale}
