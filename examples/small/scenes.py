"""Scenes for the small Detic: images pasted on photographs and on made backgrounds, boxes and masks
from alpha."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from augment import Draw, backgrounds, blur, outline, photographs, recolour
from data import Pictures
from torch import Tensor

SIZE = 320  # pixels
SIDES = (70, 210)  # of an image's square


@dataclass
class Scene:
    """An image and its truth.

    Attributes:
        image: (3, SIZE, SIZE) float RGB in [0, 1].
        boxes: (n, 4) xyxy pixels; `labels` (n,); `masks` (n, SIZE, SIZE) bool.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    masks: Tensor


def _turned(rgba: Tensor, side: int, r: Tensor) -> Tensor:
    """One image, (4, side, side) float, flipped, turned a little, stretched a little."""
    angle = (r[0] - 0.5) * 0.42
    flip = 1.0 if r[1] < 0.5 else -1.0
    aspect = torch.exp((r[2] - 0.5) * 0.4)
    cos, sin = angle.cos() * 1.08, angle.sin() * 1.08
    theta = torch.stack(
        [
            torch.stack([cos * flip * aspect, sin, cos * 0]),
            torch.stack([-sin * flip, cos / aspect, cos * 0]),
        ]
    )
    source = F.interpolate(rgba[None], size=(side, side), mode="bilinear", antialias=True)
    grid = F.affine_grid(theta[None], [1, 4, side, side], align_corners=False)
    return F.grid_sample(source, grid, align_corners=False)[0]


def _free_place(side: int, taken: list[tuple], g: torch.Generator) -> tuple[int, int]:
    """A corner with little overlap, the best of a few tries."""
    best, least = (0, 0), float("inf")
    for x, y in (torch.rand(8, 2, generator=g) * (SIZE - side)).int().tolist():
        overlap = sum(
            max(0, min(x + side, a + s) - max(x, a)) * max(0, min(y + side, b + s) - max(y, b))
            for a, b, s in taken
        )
        if overlap < least:
            best, least = (x, y), overlap
    return best


def compose(
    sources: list[tuple[Pictures, Tensor]],
    g: torch.Generator,
    count: int,
    strength: float = 0.7,
    most: int = 4,
    grounds: list[Tensor] | None = None,
    large: float = 0.0,
) -> list[Scene]:
    """`count` scenes of 2 to `most` images.

    Args:
        large: share of scenes of one image that fills most of the view.
        grounds: photographs, the ground of three scenes of five.
        sources: images with the class id that each of their names has, drawn in equal shares
            a name, in turn with the shares 70 / 30 when there are two.
    """
    draw = Draw(count, g)
    canvas = backgrounds(draw, SIZE, torch.full((count,), strength))
    if grounds:
        rows = torch.nonzero(draw.chance(0.6))[:, 0]
        if len(rows):
            canvas[rows] = photographs(grounds, Draw(len(rows), g), SIZE)
    scenes = []
    for ground in canvas:
        scene = None
        while scene is None:  # a drawing by itself may be too faint or thin to count
            scene = _scene(ground.clone(), sources, g, strength, most, large)
        scenes.append(scene)
    return scenes


def _scene(
    image: Tensor, sources: list, g: torch.Generator, strength: float, most: int, large: float
) -> Scene | None:
    """A scene on a ground, arguments as of `compose`; None where no object can be seen."""
    objects, taken, layers = [], [], []
    alone = bool(torch.rand((), generator=g) < large)
    sides = (SIDES[1], SIZE) if alone else SIDES
    for _ in range(1 if alone else int(torch.randint(2, most + 1, (), generator=g))):
        r = torch.rand(8, generator=g)
        which = 0 if len(sources) == 1 or r[3] < 0.7 else 1
        pictures, ids = sources[which]
        known = [n for n in range(len(pictures.names)) if len(pictures.of[n])]
        name = known[int(r[4] * len(known))]
        number = int(pictures.of[name][int(r[5] * len(pictures.of[name]))])
        rgba = pictures.rgba[number]
        side = int(sides[0] + (sides[1] - sides[0]) * r[6])
        layer = _turned(rgba.float() / 255, side, r)
        one = Draw(1, g)
        layer = recolour(layer[None], one, torch.full((1,), strength * float(r[7])))[0]
        x, y = _free_place(side, taken, g)
        taken.append((x, y, side))
        region = image[:, y : y + side, x : x + side]
        region.copy_(layer[:3] + (1 - layer[3:]) * region)
        solid = torch.zeros(SIZE, SIZE, dtype=torch.bool)
        solid[y : y + side, x : x + side] = layer[3] > 0.5
        layers = [m & ~solid for m in layers] + [solid]
        objects.append(int(ids[name]))
    if torch.rand((), generator=g) < 0.2 * strength:
        image.copy_(outline(image[None], torch.rand(1, generator=g))[0])
    if torch.rand((), generator=g) < 0.2 * strength:
        image.copy_(blur(image[None])[0])
    image.add_(0.02 * strength * torch.randn(image.shape, generator=g)).clamp_(0, 1)
    kept = [i for i, m in enumerate(layers) if m.sum() > 200]
    if not kept:
        return None
    masks = torch.stack([layers[i] for i in kept])
    boxes = torch.stack([_box(m) for m in masks])
    labels = torch.tensor([objects[i] for i in kept])
    return Scene(image, boxes, labels, masks)


def _box(mask: Tensor) -> Tensor:
    rows, columns = torch.nonzero(mask.any(1))[:, 0], torch.nonzero(mask.any(0))[:, 0]
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
