"""An Embedding as keyword arguments for a diffusers pipeline that the user already has."""

from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError

from .families import FAMILIES
from .family import Family


def family_of(pipe) -> Family:
    """A pipeline as one of its family.
    Raises BindplugError: a pipeline of no family, or one that cannot be conditioned."""
    for family in FAMILIES:
        width = family.width_of(pipe)
        if width is not None:
            return family(pipe, width)
    raise BindplugError(
        f"{type(pipe).__name__} takes no image embedding that bindplug knows how to give, and no "
        "text; use a pipeline of stable unCLIP, Kandinsky 2.2, Karlo, Stable Cascade's prior, one "
        "with an IP-Adapter, or any text-to-image pipeline"
    )


def conditioning(
    pipe, embedding: Embedding, *, prompt: str | list[str] = "", norm: float | None = None,
    num_images: int = 1, **options,
) -> dict:  # fmt: skip
    """Keyword arguments that put an embedding where the pipeline's image embedding goes.

    Use as `pipe(**conditioning(pipe, dog), num_inference_steps=20)`, with any other argument of
    the pipeline beside it.

    Args:
        pipe: of a family in `bindplug_unclip.families`, or any text-to-image pipeline, which is
            given words.
        embedding: (N, D) of the pipeline's space; for one that is given words, of any space
            whose embedder supports text. N rows give N images per call.
        prompt: text beside the embedding, one for all rows or one per row; for a pipeline that is
            given words, "{}" in it stands for them.
        norm: length that the unit rows are scaled to; None takes the family's.
        num_images: images for each row, next to each other in the result; use this in place of
            the pipeline's `num_images_per_prompt`, which some pipelines order differently.
        options: the family's own: `noise_level` (stable unCLIP), `negative` (Kandinsky),
            `guidance` and `negative` (IP-Adapter), `bridge` and `vocabulary` (words); see
            `bindplug_unclip.families`.

    Returns:
        What the pipeline takes, on its device and in its dtype.

    Raises SpaceMismatch: another space than the pipeline's; BindplugError: an unsupported pipeline,
    a wrong width, a wrong number of prompts, or an option that this family does not have or that is
    out of range."""
    family = family_of(pipe)
    if unknown := sorted(set(options) - set(family.options)):
        known = ", ".join(family.options)
        raise BindplugError(f"{type(pipe).__name__} has no option {unknown[0]!r}; it has {known}")
    if num_images < 1:
        raise BindplugError(f"num_images {num_images}; give at least 1")
    prompts = [prompt] * len(embedding) if isinstance(prompt, str) else list(prompt)
    if len(prompts) != len(embedding):
        raise BindplugError(f"{len(prompts)} prompts for {len(embedding)} rows; give one per row")
    return family.condition(embedding, prompts, num_images, norm, **options)
