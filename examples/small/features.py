"""Step 1: features of the frozen image trunk over augmented views of every picture.

python features.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch.nn.functional as F
from augment import Draw, augment, photographs
from data import RUNS, Pictures, concepts, grounds, on_white
from torch import Tensor
from trunks import image_trunk

from bindplug.models.small.pixels import scale
from bindplug.training import cached, encode_views, step_generator

TRUNK, SIZE = "tf_efficientnet_lite0", 224
VIEWS = {"pictures": 13, "vocab": 5}  # the first plain, on white; the others augmented
HARD = 0.7
SQUARES = 1920  # random squares of the background photographs
BATCH = 32


def large(rgba: Tensor) -> Tensor:
    """(B, 4, s, s) uint8 to (B, 4, 224, 224) uint8."""
    x = F.interpolate(rgba.float(), size=(SIZE, SIZE), mode="bicubic", align_corners=False)
    return x.round().clamp(0, 255).byte()


def picture_features(name: str, trunk: Callable[[Tensor], Tensor], photos: list[Tensor]) -> Tensor:
    """(views, N, 1280) float16 of all rows of a table of pictures, val among them."""
    size, names = (128, concepts()) if name == "pictures" else (64, None)
    pictures = Pictures(f"{name}.csv", None, size, names)

    def batches(view: int) -> Iterator[Tensor]:
        for start in range(0, len(pictures.rgba), BATCH):
            rgba = large(pictures.rgba[start : start + BATCH])
            g = step_generator(view, start)
            yield scale(augment(rgba, g, HARD, photos) if view else on_white(rgba))

    return encode_views(trunk, VIEWS[name], batches, f"features of {name}")


def square_features(trunk: Callable[[Tensor], Tensor], photos: list[Tensor]) -> Tensor:
    """(1, N, 1280) float16 of squares of photographs without concepts."""

    def batches(view: int) -> Iterator[Tensor]:
        for start in range(0, SQUARES, BATCH):
            yield scale(photographs(photos, Draw(BATCH, step_generator(view, start)), SIZE))

    return encode_views(trunk, 1, batches, "features of backgrounds")


def features() -> dict[str, Tensor]:
    """What this step made: "pictures", "vocab" and "squares", as above."""

    def make() -> dict[str, Tensor]:
        trunk = image_trunk(TRUNK).features
        photos = grounds()
        made = {name: picture_features(name, trunk, photos) for name in VIEWS}
        return {**made, "squares": square_features(trunk, photos)}

    return cached(RUNS / "features.safetensors", f"{TRUNK} {SIZE} {VIEWS} {HARD} {SQUARES}", make)


if __name__ == "__main__":
    print({name: tuple(x.shape) for name, x in features().items()})
