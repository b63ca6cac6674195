"""What generated images and animations are called after: their prompts."""

from collections.abc import Iterable
from pathlib import Path

from ..storage.names import unique_names
from .recipe import Recipe


def image_names(recipes: Iterable[Recipe], count: int) -> list[list[str]]:
    """For each recipe the names, without endings, of its `count` images: "rain+the-sea_0000", of a
    difference "rain-minus-dog_0000"."""
    stems = unique_names(map(_sum_stem, recipes))
    return [[f"{stem}_{i:04d}" for i in range(count)] for stem in stems]


def morph_name(recipe: Recipe) -> str:
    """The name, without ending, of an animation between two sounds: "cat-dog"."""
    [name] = unique_names(["-".join(_stem(*p) for p in recipe.prompts)])
    return name


def _sum_stem(recipe: Recipe) -> str:
    """A recipe's prompts as a part of a file name."""
    parts = ["+".join(_stem(*prompt) for prompt in part) for part in recipe.parts]
    signs = ["-minus-" if weight < 0 else "+" for weight in recipe.mix or [1.0] * len(parts)]
    joined = "".join(sign + part for sign, part in zip(signs, parts, strict=True))
    return joined.removeprefix("+").removeprefix("-")


def _stem(modality: str, value: str) -> str:
    """A prompt as a part of a file name."""
    if modality != "text":
        return Path(value).stem
    return "".join(c if c.isalnum() else "-" for c in value.lower())[:40].strip("-") or "text"
