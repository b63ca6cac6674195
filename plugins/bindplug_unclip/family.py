"""What a family of diffusers pipelines is: where its pipelines take an embedding, and how."""

import warnings
from abc import ABC, abstractmethod
from dataclasses import replace
from inspect import signature
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError, BindplugWarning, SpaceMismatch
from bindplug.generation.settings import GenerationSettings

ANY_SIZE = {"UpBlock2D", "CrossAttnUpBlock2D"}  # of diffusers' UNet; others double what they get


class Family(ABC):
    """A pipeline as one of its family. A new family is a subclass in `families.FAMILIES`."""

    spaces: ClassVar[dict[int, str]] = {}  # of the family's released models, by width
    # The length that those models expect of an embedding; None as for others.
    released_norm: ClassVar[float | None] = None
    # Which embeddings of that space it was trained on: "image" or "text".
    region: ClassVar[str] = "image"
    # What `arguments` takes beside rows and prompts; `negative` among them where the pipeline can
    # be steered away from an embedding.
    options: ClassVar[tuple[str, ...]] = ()
    # The pipeline's own names of the settings that it has.
    setting_names: ClassVar[dict[str, str]] = {
        "steps": "num_inference_steps", "guidance_scale": "guidance_scale",
        "height": "height", "width": "width",
    }  # fmt: skip
    network: ClassVar[str] = "unet"  # the pipeline's part that takes the rows
    reads_text: ClassVar[bool] = False  # it takes words in place of an embedding; its width is 0

    def __init__(self, pipe, width: int):
        self.pipe, self.width = pipe, width

    @classmethod
    @abstractmethod
    def width_of(cls, pipe) -> int | None:
        """The width of the embedding that a pipeline of the family takes; None for any other
        pipeline.
        Raises BindplugError: a pipeline of the family that cannot be conditioned."""

    @property
    def space(self) -> str | None:
        """The space of its embeddings, where the pipeline's `bindplug_space` or its width tells."""
        return getattr(self.pipe, "bindplug_space", None) or self.spaces.get(self.width)

    @property
    def norm(self) -> float:
        """The length that unit rows are scaled to: for models that are not released ones that of a
        standard normal vector, sqrt(width)."""
        return (self.width in self.spaces and self.released_norm) or self.width**0.5

    @property
    def size(self) -> int:
        """Height and width of its images where nobody asks for others, pixels.
        Raises BindplugError: a pipeline that makes no images."""
        scale = self._scale()
        if not scale or not hasattr(self.pipe, "unet"):
            name = type(self.pipe).__name__
            raise BindplugError(f"{name} makes no pictures; use it through `conditioning`")
        return self.pipe.unet.config.sample_size * scale

    @property
    def multiple(self) -> int:
        """What height and width are multiples of, pixels."""
        config = self.pipe.unet.config
        kinds = config.up_block_types
        halvings = 0 if ANY_SIZE.issuperset(kinds) else len(kinds) - 1
        return self._scale() * 2**halvings

    def _scale(self) -> int | None:
        """Pixels of an image a latent, along each side; None for a pipeline without images."""
        pipe = self.pipe
        return getattr(pipe, "vae_scale_factor", None) or getattr(pipe, "movq_scale_factor", None)

    @abstractmethod
    def arguments(self, rows: Tensor, prompts: list[str], **options) -> dict:
        """The pipeline's keyword arguments for (N, width) rows of length `norm` and N prompts.
        Raises BindplugError: rows, prompts or options that the pipeline cannot take."""

    def condition(
        self, embedding: Embedding, prompts: list[str], num_images: int, norm: float | None,
        **options,
    ) -> dict:  # fmt: skip
        """`arguments` for `num_images` images of each row, next to each other.
        Raises SpaceMismatch: another space than the pipeline's, or a negative of another than the
        embedding; BindplugError: a wrong width, or as in `arguments`."""
        if self.space is not None and embedding.space != self.space:
            raise SpaceMismatch(
                f"this pipeline wants {self.space!r} ({self.width}-d), but the embedding is of "
                f"{embedding.space!r}; cross first: "
                f"bindplug.fit_bridge('vocabulary', {embedding.space!r}, {self.space!r})"
            )
        if embedding.vectors.shape[1] != self.width:
            got = embedding.vectors.shape[1]
            raise BindplugError(
                f"this pipeline wants image embeddings of width {self.width}, got {got}"
            )
        negative = options.get("negative")
        if negative is not None and negative.space != embedding.space:
            raise SpaceMismatch(
                f"the negative is of {negative.space!r}, the embedding of {embedding.space!r}; "
                "cross first, by the same bridge"
            )
        length = self.norm if norm is None else norm
        rows = torch.from_numpy(embedding.vectors * length).repeat_interleave(num_images, dim=0)
        return self.arguments(rows, [p for p in prompts for _ in range(num_images)], **options)

    def resolve(self, settings: GenerationSettings, own: dict) -> GenerationSettings:
        """Settings with values in place of None, for those that the pipeline has.

        Args:
            own: values of the weights; for others the pipeline's own defaults and size are taken.

        Raises BindplugError: a setting that the pipeline does not have."""
        parameters, name = signature(self.pipe.__call__).parameters, type(self.pipe).__name__
        for asked in ("height", "width"):
            if getattr(settings, asked) is not None and asked not in self.setting_names:
                raise BindplugError(f"{name} has a {asked} of its own; leave it out")
        if settings.noise_level and "noise_level" not in self.options:
            raise BindplugError(f"{name} has no noise level")
        if settings.negative_text and "negative_prompt" not in parameters:
            raise BindplugError(f"{name} has no negative prompt")
        if (settings.text or settings.negative_text) and not self._attends_to_words():
            warnings.warn(
                "a prompt beside the embedding changes nothing here: these weights have no "
                "cross-attention; add a text to the embedding instead (--text with --mix)",
                BindplugWarning, stacklevel=2,
            )  # fmt: skip
        values = {ours: parameters[theirs].default for ours, theirs in self.setting_names.items()}
        values |= {k: self.size for k in ("height", "width") if k in values} | own
        missing = {k: v for k, v in values.items() if getattr(settings, k) is None}
        for asked in ("height", "width"):
            if asked in values and (getattr(settings, asked) or 0) % self.multiple:
                raise BindplugError(
                    f"{asked} {getattr(settings, asked)}; give a multiple of {self.multiple}, as "
                    "these weights need"
                )
        return replace(settings, **missing)

    def _attends_to_words(self) -> bool:
        """Whether a UNet has a block that reads the prompt."""
        config = config_of(self.pipe, "unet")
        lists = (config.get(f"{part}_block_types") or () for part in ("down", "up"))
        kinds = [config.get("mid_block_type"), *(kind for kinds in lists for kind in kinds)]
        return not config or any("CrossAttn" in str(kind) for kind in kinds)

    def place(self, rows: Tensor) -> Tensor:
        """Rows on the device and in the dtype of the network that takes them."""
        return rows.to(self.pipe.device, getattr(self.pipe, self.network).dtype)

    def negative_rows(self, negative: Embedding | None, rows: Tensor) -> Tensor:
        """(N, D) rows that images are steered away from, scaled to `norm`; zeros for None.
        Raises BindplugError: a wrong width, or neither one row nor one for each."""
        if negative is None:
            return torch.zeros_like(rows)
        count, width = negative.vectors.shape
        if width != rows.shape[1] or count not in (1, len(rows)):
            raise BindplugError(
                f"negative of {count} x {width} for {len(rows)} x {rows.shape[1]} rows; give one "
                "row, or one for each"
            )
        return torch.from_numpy(negative.vectors * np.float32(self.norm)).expand_as(rows)

    def one_row(self, rows: Tensor) -> Tensor:
        """The first row of rows that are all the same. Some pipelines repeat the whole tensor for
        each prompt, so that each image would see all rows.
        Raises BindplugError: rows that differ."""
        if not bool((rows == rows[:1]).all()):
            name = type(self).__name__
            raise BindplugError(f"{name} takes one embedding a call; call it once for each row")
        return rows[:1]

    def refuse_prompts(self, prompts: list[str]) -> None:
        """Raises BindplugError: there is a prompt."""
        if any(prompts):
            name = type(self.pipe).__name__
            raise BindplugError(f"{name} reads no prompt; mix a text into the embedding")


def config_of(pipe, part: str) -> dict:
    """The configuration of a pipeline's part; empty without one."""
    config = getattr(getattr(pipe, part, None), "config", None)
    return config if hasattr(config, "get") else {}
