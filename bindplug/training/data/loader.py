"""A view of a row: which moment, crop and masks it has is a function of seed, row and number."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import BindplugError, check_choice, first_line
from ...models.towers.tower import attribute
from .augment import STILLS, Augmentation, Geometry, augment_clip, augment_source
from .inputs import open_input
from .rows import Moment, Row


@dataclass
class Loader:
    """Reads inputs through the transforms of trunks.

    Attributes:
        trunks: by modality.
        augmentations: by modality; only views for training have them.
        options: of the transforms, by modality; those of a row go before them.
        seed: of all views.
        is_aligned: modalities of a row share a view's moment and crop.
    """

    trunks: dict[str, nn.Module]
    augmentations: dict[str, Augmentation] = field(default_factory=dict)
    options: dict[str, dict] = field(default_factory=dict)
    seed: int = 0
    is_aligned: bool = True

    def view_name(self, row: Row, modality: str, value) -> str:
        """What decides, with a view's number, its moment and crop: inputs of one name share them,
        so features of an input are computed once for all rows where it has the same name."""
        if isinstance(value, Moment):
            return str(value.path)
        shared = modality in STILLS and sum(m in STILLS for m in row.inputs) > 1
        return row.name if shared and self.is_aligned else str(value)

    def view(self, row: Row, modality: str, value, number: int, step: int = 0) -> Tensor:
        """One clip of an input for training.

        Args:
            value: one of the row's inputs of that modality.
            number: of the view.
            step: a further number for masks and jitter, which modalities do not share.

        Raises BindplugError: it cannot be read; it is named."""
        name = self.view_name(row, modality, value)
        own = zlib.crc32(modality.encode())
        key = [self.seed, zlib.crc32(name.encode("utf-8", "surrogatepass")), number]
        shared = np.random.default_rng(key if self.is_aligned else [*key, own])
        rng = np.random.default_rng([*key, own, step + 1])
        share, *numbers = shared.random(6)
        trunk, of = self.trunks[modality], self.augmentations.get(modality, Augmentation())
        seconds = attribute(trunk, "clip_seconds")
        source = open_input(modality, value, share, seconds)
        rate = self._options(row, modality).get("rate") if modality == "imu" else None
        source = augment_source(source, modality, of, Geometry(*numbers), rng, seconds, rate)
        clips = self._transform(row, modality, source, value)
        clip = clips[int(rng.random() * len(clips))]
        return augment_clip(clip, of, rng, attribute(trunk, "frequency_axis"))

    def clips(self, row: Row, modality: str, value) -> Tensor:
        """All clips of an input, (n, ...), without augmentation; of a recording those of its
        middle. Errors as in `view`."""
        seconds = attribute(self.trunks[modality], "clip_seconds")
        return self._transform(row, modality, open_input(modality, value, 0.5, seconds), value)

    def _options(self, row: Row, modality: str) -> dict:
        return {**self.options.get(modality, {}), **row.options.get(modality, {})}

    def _transform(self, row: Row, modality: str, source, value) -> Tensor:
        trunk = self.trunks[modality]
        options = self._options(row, modality)
        known = attribute(trunk, "options")(modality)
        try:
            for name in options:
                check_choice(f"option of {modality}", name, known)
            return trunk.transform(modality, source, **options)[0]
        except BindplugError as err:  # of an array, whose message does not know the file
            named = str(getattr(value, "path", value))
            if modality == "text" or named in str(err):
                raise
            raise BindplugError(f"{named}: {err}") from err
        except Exception as err:
            if modality in ("image", "text", "audio", "depth", "thermal", "imu"):
                raise
            raise BindplugError(f"{value}: {first_line(err)}") from err  # of a plugin's transform


def stack(clips: list[Tensor], modality: str, names: list[str]) -> Tensor:
    """(B, ...) of B clips.
    Raises BindplugError: clips of two shapes; those inputs are named."""
    for clip, name in zip(clips, names, strict=True):
        if clip.shape != clips[0].shape:
            raise BindplugError(
                f"{modality}: {names[0]} gives {tuple(clips[0].shape)} and {name} "
                f"{tuple(clip.shape)}; a trunk takes clips of one shape"
            )
    return torch.stack(clips)
