"""An Embedding as keyword arguments for a diffusers pipeline that the user already has."""

from __future__ import annotations

from bindplug.embedding import Embedding
from bindplug.errors import BindplugError, SpaceMismatch

from .families import FAMILIES


def _family(pipe):
    """The family that a pipeline belongs to, and the width of the embedding that it takes."""
    for family in FAMILIES:
        width = family.width(pipe)
        if width is not None:
            return family, width
    raise BindplugError(
        f"{type(pipe).__name__} takes no image embedding that bindplug knows how to give; use a "
        "StableUnCLIPImg2ImgPipeline, a KandinskyV22Pipeline, or a pipeline with an IP-Adapter"
    )


def pipeline_space(pipe) -> str | None:
    """The space that a pipeline's image embeddings live in, where its width or config tells."""
    family, width = _family(pipe)
    return getattr(pipe, "bindplug_space", None) or family.SPACES.get(width)


def conditioning(
    pipe,
    embedding: Embedding,
    *,
    prompt: str | list[str] = "",
    norm: float | None = None,
    num_images: int = 1,
    **options,
) -> dict:
    """Keyword arguments that put an embedding where the pipeline's image embedding goes.

    Use as `pipe(**conditioning(pipe, dog), num_inference_steps=20)`, with any other argument of
    the pipeline beside it.

    Args:
        pipe: a StableUnCLIPImg2ImgPipeline, a KandinskyV22Pipeline, or one of Stable Diffusion 1.5
            or XL with a plain IP-Adapter loaded.
        embedding: (N, D) of the pipeline's space; N rows give N pictures a call.
        prompt: text beside the embedding, one for all rows or one a row.
        norm: length that the unit rows are brought to; None takes the family's.
        num_images: pictures for each row, next to each other in the result; use this in place of
            the pipeline's `num_images_per_prompt`, which some pipelines order otherwise.
        options: the family's own: `noise_level` (stable unCLIP), `negative` (Kandinsky),
            `guidance` (IP-Adapter); see `bindplug_unclip.families`.

    Returns:
        What the pipeline takes, on its device and in its dtype.

    Raises:
        SpaceMismatch: another space than the pipeline's.
        BindplugError: another pipeline, a wrong width, a wrong number of prompts, or an option
            that this family does not have or that is out of range.
    """
    import torch

    family, width = _family(pipe)
    space = pipeline_space(pipe)
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
    for name in options:
        if name not in family.OPTIONS:
            raise BindplugError(
                f"{type(pipe).__name__} has no option {name!r}; it has {', '.join(family.OPTIONS)}"
            )
    if num_images < 1:
        raise BindplugError(f"num_images {num_images}; give at least 1")
    prompts = [prompt] * len(embedding) if isinstance(prompt, str) else list(prompt)
    if len(prompts) != len(embedding):
        raise BindplugError(f"{len(prompts)} prompts for {len(embedding)} rows; give one a row")
    length = family.norm(width) if norm is None else norm
    rows = torch.from_numpy(embedding.vectors * length).repeat_interleave(num_images, dim=0)
    prompts = [p for p in prompts for _ in range(num_images)]
    return family.arguments(pipe, rows, prompts, **options)
