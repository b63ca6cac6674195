"""An Embedding as keyword arguments for a diffusers pipeline that the user already has."""

from __future__ import annotations

from bindplug.bridge import to_words
from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError, SpaceMismatch

from .families import FAMILIES, words


def family_of(pipe):
    """The family that a pipeline belongs to, and the width of the embedding that it takes."""
    for family in FAMILIES:
        width = family.width(pipe)
        if width is not None:
            return family, width
    raise BindplugError(
        f"{type(pipe).__name__} takes no image embedding that bindplug knows how to give, and no "
        "text; use a pipeline of stable unCLIP, Kandinsky 2.2, Karlo, Stable Cascade's prior, one "
        "with an IP-Adapter, or any text-to-image pipeline"
    )


def pipeline_space(pipe) -> str | None:
    """The space that a pipeline's embeddings live in, where its width or config tells."""
    family, width = family_of(pipe)
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
        pipe: a StableUnCLIPImg2ImgPipeline, KandinskyV22Pipeline, UnCLIPPipeline,
            UnCLIPImageVariationPipeline or StableCascadePriorPipeline, one of Stable Diffusion 1.5
            or XL with a plain IP-Adapter loaded, or any text-to-image pipeline, which is told in
            words.
        embedding: (N, D) of the pipeline's space, for words of any that speaks text; N rows give N
            pictures a call.
        prompt: text beside the embedding, one for all rows or one a row; for words "{}" in it
            stands for them.
        norm: length that the unit rows are brought to; None takes the family's.
        num_images: pictures for each row, next to each other in the result; use this in place of
            the pipeline's `num_images_per_prompt`, which some pipelines order otherwise.
        options: the family's own: `noise_level` (stable unCLIP), `negative` (Kandinsky),
            `guidance` and `negative` (IP-Adapter), `bridge` and `vocabulary` (words); see
            `bindplug_unclip.families`.

    Returns:
        What the pipeline takes, on its device and in its dtype.

    Raises:
        SpaceMismatch: another space than the pipeline's.
        BindplugError: another pipeline, a wrong width, a wrong number of prompts, or an option
            that this family does not have or that is out of range.
    """
    import torch

    family, width = family_of(pipe)
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
    if family is words:
        rows = zip(to_words(embedding, **options), prompts, strict=True)
        said = [words.prompt(row, text) for row, text in rows]
        return {"prompt": [text for text in said for _ in range(num_images)]}
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
    length = family.norm(width) if norm is None else norm
    rows = torch.from_numpy(embedding.vectors * length).repeat_interleave(num_images, dim=0)
    prompts = [p for p in prompts for _ in range(num_images)]
    return family.arguments(pipe, rows, prompts, **options)
