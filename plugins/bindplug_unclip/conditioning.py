"""An Embedding as keyword arguments for a diffusers pipeline that the user already has."""

from __future__ import annotations

from bindplug.embedding import Embedding
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
    if family is words:
        return {"prompt": _say(embedding, prompt, num_images, options)}
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


def _say(embedding: Embedding, prompt, num_images: int, options: dict) -> list[str]:
    """A prompt for each row, in words."""
    from bindplug.query import say

    known = ("bridge", "vocabulary")
    if wrong := [name for name in options if name not in known]:
        raise BindplugError(f"words have no option {wrong[0]!r}; they have {', '.join(known)}")
    around = [prompt] * len(embedding) if isinstance(prompt, str) else list(prompt)
    if len(around) != len(embedding):
        raise BindplugError(f"{len(around)} prompts for {len(embedding)} rows; give one a row")
    said = say(embedding, **options)
    rows = [words.prompt(row, text) for row, text in zip(said, around, strict=True)]
    return [row for row in rows for _ in range(num_images)]
