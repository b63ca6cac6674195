"""An Embedding as keyword arguments for a diffusers pipeline that the user already has."""

from __future__ import annotations

from bindplug.embedding import Embedding
from bindplug.errors import BindplugError, SpaceMismatch

VIT_H, VIT_L = "openclip-vit-h-14/laion2b", "openai-clip-vit-l-14"
SPACES = {1024: VIT_H, 768: VIT_L}  # of the released stable unCLIP models, by width
# What ImageBind's sounds had when the public demos conditioned stable unCLIP with them; OpenCLIP's
# own image embeddings are not normalised either, so a unit vector would drown in the noise.
NORMS = {1024: 20.0, 768: 20.0}


def pipeline_space(pipe) -> str | None:
    """The space that a pipeline's image embeddings live in, where its width or config tells."""
    name = getattr(pipe, "bindplug_space", None)
    return name or SPACES.get(_width(pipe))


def _width(pipe) -> int:
    normalizer = getattr(pipe, "image_normalizer", None)
    if normalizer is None:
        raise BindplugError(
            f"{type(pipe).__name__} takes no image embedding that bindplug knows how to give; "
            "use a StableUnCLIPImg2ImgPipeline"
        )
    return normalizer.mean.shape[-1]


def conditioning(
    pipe,
    embedding: Embedding,
    *,
    prompt: str | list[str] = "",
    norm: float | None = None,
    noise_level: int = 0,
) -> dict:
    """Keyword arguments that put an embedding where the pipeline's image embedding goes.

    Use as `pipe(**conditioning(pipe, dog), num_inference_steps=20)`, with any other argument of
    the pipeline beside it.

    Args:
        pipe: a StableUnCLIPImg2ImgPipeline.
        embedding: (N, D) of the pipeline's space; N rows give N pictures a call.
        prompt: text beside the embedding, one for all rows or one a row.
        norm: length that the unit rows are brought to; None takes 20 for the released models
            and sqrt(D) for others.
        noise_level: 0 to 999, noise on the embedding before it conditions.

    Returns:
        `image_embeds` (N, D) on the pipeline's device and in its dtype, `prompt`, `noise_level`.

    Raises:
        SpaceMismatch: another space than the pipeline's.
        BindplugError: another pipeline, a wrong width, a wrong number of prompts, or a noise
            level out of range.
    """
    import torch

    width, space = _width(pipe), pipeline_space(pipe)
    if space is not None and embedding.space != space:
        raise SpaceMismatch(
            f"this pipeline wants {space!r} ({width}-d), the embedding is of "
            f"{embedding.space!r}; cross first: "
            f"bindplug.fit_bridge('vocabulary', {embedding.space!r}, {space!r})"
        )
    if embedding.vectors.shape[1] != width:
        raise BindplugError(
            f"this pipeline wants image embeddings of {width}, got {embedding.vectors.shape[1]}"
        )
    if not 0 <= noise_level <= 999:
        raise BindplugError(f"noise level {noise_level}; give 0 to 999")
    prompts = [prompt] * len(embedding) if isinstance(prompt, str) else list(prompt)
    if len(prompts) != len(embedding):
        raise BindplugError(f"{len(prompts)} prompts for {len(embedding)} rows; give one a row")
    length = norm if norm is not None else NORMS.get(width, width**0.5)
    image_embeds = torch.from_numpy(embedding.vectors * length)
    return {
        "image_embeds": image_embeds.to(device=pipe.device, dtype=pipe.unet.dtype),
        "prompt": prompts,  # a list, or diffusers fails for more than one row
        "noise_level": noise_level,
    }
