"""Karlo's image variations (unCLIP): the embedding is what its CLIP makes of a picture."""

from __future__ import annotations

from torch import Tensor

from .common import no_prompt

SPACES = {768: "openai-clip-vit-l-14"}
REGION = "image"
OPTIONS = ()


def width(pipe) -> int | None:
    if hasattr(pipe, "prior") or not hasattr(pipe, "super_res_first"):
        return None
    return pipe.text_proj.config.clip_embeddings_dim


def norm(width: int) -> float:
    """About what CLIP ViT-L/14's picture embeddings have."""
    return 10.0 if width in SPACES else width**0.5


def arguments(pipe, rows: Tensor, prompts: list[str]) -> dict:
    no_prompt(prompts, "Karlo's variation pipeline")
    return {"image_embeddings": rows.to(device=pipe.device, dtype=pipe.decoder.dtype)}


def settings(steps: int, guidance_scale: float, height: int, width: int) -> dict:
    """Karlo's size is its own."""
    return {"decoder_num_inference_steps": steps, "decoder_guidance_scale": guidance_scale}
