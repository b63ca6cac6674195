"""The settings of one generated image."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ..errors import BindplugError

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..embedding.vectors import Embedding

Progress = bool | Callable[[int, int], None]
MAX_SEED = 2**63
MAX_STEPS = 1000  # timesteps that diffusion models are trained on
PIXELS = 8  # sizes are multiples of it


def whole_number(name: str, value, low: int, high: int | None = None) -> int:
    """An int, or an integer of numpy or torch, as an int.
    Raises BindplugError: no integer, or one outside [low, high]."""
    wanted = f"at least {low}" if high is None else f"{low} to {high}"
    try:
        number = operator.index(value)
    except TypeError as err:
        raise BindplugError(f"{name} {value!r}; give a whole number, {wanted}") from err
    if number < low or (high is not None and number > high):
        raise BindplugError(f"{name} {number}; give {wanted}")
    return number


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """Numbers and texts of a generated image; None is the pipeline's own value.

    Attributes:
        steps: denoising steps, 1 to 1000.
        guidance_scale: of classifier-free guidance, 0 or more; above 1 it is on.
        noise_level: noise added to the embedding before it conditions, 0 to 999, for pipelines
            that do that (stable unCLIP).
        height, width: pixels, multiples of 8.
        text, negative_text: prompt and negative prompt beside the embedding, for pipelines that
            read.
        strength: share of the steps that are run on an initial image, in (0, 1]: 1 keeps nothing.

    Raises BindplugError: a value out of its range, NaN, or of another type."""

    steps: int | None = None
    guidance_scale: float | None = None
    noise_level: int = 0
    height: int | None = None
    width: int | None = None
    text: str = ""
    negative_text: str = ""
    strength: float = 0.6

    def __post_init__(self):
        self._whole("steps", 1, MAX_STEPS)
        self._whole("noise_level", 0, 999)
        for name in ("height", "width"):
            self._whole(name, PIXELS)
            if (getattr(self, name) or 0) % PIXELS:
                raise BindplugError(f"{name} {getattr(self, name)}; give a multiple of {PIXELS}")
        if self.guidance_scale is not None:
            self._number("guidance_scale", 0 - math.ulp(0), math.inf, "a finite number, 0 or more")
        self._number("strength", 0, 1 + math.ulp(1), "more than 0, up to 1")
        for name in ("text", "negative_text"):
            if not isinstance(getattr(self, name), str):
                raise BindplugError(f"{name} {getattr(self, name)!r}; give a string")

    def _whole(self, name: str, low: int, high: int | None = None) -> None:
        if getattr(self, name) is not None:
            object.__setattr__(self, name, whole_number(name, getattr(self, name), low, high))

    def _number(self, name: str, low: float, high: float, wanted: str) -> None:
        """A float between two bounds, both excluded, which NaN never is."""
        value = getattr(self, name)
        try:
            number = float(value)
        except (TypeError, ValueError) as err:
            raise BindplugError(f"{name} {value!r}; give {wanted}") from err
        if not low < number < high:
            raise BindplugError(f"{name} {value:g}; give {wanted}")
        object.__setattr__(self, name, number)


@dataclass(frozen=True, kw_only=True)
class GenerationSettings(ImageSettings):
    """How an image is generated.

    Attributes:
        negative: one row that images are steered away from.
        init_image: image that generation starts from in place of pure noise.
        progress: show a progress bar; or a function that is called with the number of steps done
            and of all, after each step. What it raises ends the generation.
        seen: is called with the candidates of each image, PIL images, and their cosines to the
            prompt, by generators that compare candidates.
    """

    negative: Embedding | None = None
    init_image: Image | None = None
    progress: Progress = False
    seen: Callable[[list, list[float]], None] | None = None

    def given(self) -> dict:
        """The settings that differ from the defaults, as keyword arguments."""
        values = {f.name: (getattr(self, f.name), f.default) for f in fields(self)}
        return {name: value for name, (value, default) in values.items() if value != default}
