"""Batched image augmentation on premultiplied RGBA: placing, colours, backgrounds, damage."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

GRAY = torch.tensor([0.299, 0.587, 0.114])


class Draw:
    """Random numbers of one batch, one row a sample, all from one generator."""

    def __init__(self, count: int, generator: torch.Generator):
        self.count, self.generator = count, generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(self.count, *shape, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.count, *shape, generator=self.generator)

    def chance(self, p: float) -> Tensor:
        return torch.rand(self.count, generator=self.generator) < p


def place(rgba: Tensor, draw: Draw, strength: Tensor) -> Tensor:
    """Zoom out, turn, flip, stretch and shift inside the frame; (B, 4, H, W) float."""
    zoom = torch.lerp(draw.uniform(1.0, 1.25), draw.uniform(0.85, 1.7), strength)
    angle = draw.normal() * math.radians(10) * strength
    aspect = torch.exp(draw.normal() * 0.1 * strength)
    flip = torch.where(draw.chance(0.5), -1.0, 1.0)
    shift = draw.uniform(-0.5, 0.5, 2) * strength[:, None]
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    theta = torch.stack(
        [
            torch.stack([cos * flip * aspect, sin, shift[:, 0]], -1),
            torch.stack([-sin * flip, cos / aspect, shift[:, 1]], -1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, list(rgba.shape), align_corners=False)
    return F.grid_sample(rgba, grid, align_corners=False)


def recolour(rgba: Tensor, draw: Draw, strength: Tensor) -> Tensor:
    """Saturation, hue, brightness, tint and inversion: one 3x3 matrix and one offset a sample."""
    saturation = torch.lerp(torch.ones(draw.count), draw.uniform(0, 1.3), strength)
    saturation = torch.where(draw.chance(0.12), 0.0, saturation)
    hue = draw.uniform(-1, 1) * torch.where(draw.chance(0.3), math.pi, 0.15) * strength
    brightness = torch.lerp(torch.ones(draw.count), draw.uniform(0.6, 1.25), strength)
    gray = GRAY.expand(3, 3)
    axis = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0, -1.0, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    turn = hue.cos()[:, None, None] * (torch.eye(3) - axis) + hue.sin()[:, None, None] * cross
    matrix = gray + saturation[:, None, None] * (torch.eye(3) - gray)
    matrix = (turn + axis) @ matrix * brightness[:, None, None]
    invert = draw.chance(0.06) & (strength > 0.5)
    matrix = torch.where(invert[:, None, None], -matrix, matrix)
    offset = draw.uniform(-0.08, 0.08, 3) * strength[:, None] + invert[:, None].float()
    colour, alpha = rgba[:, :3], rgba[:, 3:]
    colour = torch.bmm(matrix, colour.flatten(2)).view_as(colour) + offset[..., None, None] * alpha
    return torch.cat([colour.clamp(min=0).minimum(alpha), alpha], dim=1)


def backgrounds(draw: Draw, size: int, strength: Tensor) -> Tensor:
    """(B, 3, size, size): near white, plain, gradient, or noise of a random scale."""
    base = draw.uniform(0, 1, 3, 1, 1)
    white = draw.chance(0.15) | (draw.uniform(0, 1) > 0.3 + 0.7 * strength)
    base = torch.where(white[:, None, None, None], draw.uniform(0.9, 1, 1, 1, 1), base)
    busy = (~white & draw.chance(0.75)).float()[:, None, None, None]
    out = base.expand(-1, 3, size, size).clone()
    kinds = torch.randint(0, 5, (draw.count,), generator=draw.generator)
    for kind, cells in enumerate((2, 3, 6, 12, 24)):
        rows = torch.nonzero(kinds == kind)[:, 0]
        noise = torch.randn(len(rows), 3, cells, cells, generator=draw.generator)
        gray = torch.rand(len(rows), 1, 1, 1, generator=draw.generator)
        noise = torch.lerp(noise, noise.mean(1, keepdim=True) * 3**0.5, gray)
        amount = torch.rand(len(rows), 1, 1, 1, generator=draw.generator) * 0.35
        wave = F.interpolate(noise, size=(size, size), mode="bilinear")
        out[rows] += busy[rows] * amount * wave
    return out.clamp(0, 1)


def photographs(grounds: list[Tensor], draw: Draw, size: int) -> Tensor:
    """(B, 3, size, size) float: random squares of photographs, mirrored by chance."""
    out = []
    which = torch.randint(len(grounds), (draw.count,), generator=draw.generator).tolist()
    for i, (share, x, y, flip) in zip(which, draw.uniform(0, 1, 4).tolist(), strict=True):
        ground = grounds[i]
        side = int(min(ground.shape[1:]) * (0.35 + 0.65 * share))
        top, left = int(y * (ground.shape[1] - side + 1)), int(x * (ground.shape[2] - side + 1))
        square = ground[None, :, top : top + side, left : left + side].float() / 255
        square = F.interpolate(square, size=(size, size), mode="bilinear", antialias=True)[0]
        out.append(square.flip(-1) if flip < 0.5 else square)
    return torch.stack(out)


def outline(image: Tensor, amount: Tensor) -> Tensor:
    """Darken edges, as if the image had been drawn with a pen."""
    gray = (image * GRAY[:, None, None]).sum(1, keepdim=True)
    edge = F.max_pool2d(gray, 3, 1, 1) + F.max_pool2d(-gray, 3, 1, 1)
    return image * (1 - amount[:, None, None, None] * (edge * 3).clamp(max=1))


def blur(image: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)


def cutout(image: Tensor, draw: Draw) -> Tensor:
    size = image.shape[-1]
    at = draw.uniform(0, size, 2)
    half = draw.uniform(size * 0.06, size * 0.2)
    line = torch.arange(size)
    inside = (line - at[..., None]).abs() < half[:, None, None]  # (B, 2, size)
    hole = inside[:, 0, :, None] & inside[:, 1, None, :]
    return torch.where(hole[:, None], draw.uniform(0, 1, 3, 1, 1), image)


def augment(
    rgba: Tensor, generator: torch.Generator, hard_share: float, grounds: list[Tensor] | None = None
) -> Tensor:
    """(B, 4, S, S) uint8 premultiplied to (B, 3, S, S) float RGB in [0, 1].

    Args:
        hard_share: share of samples with the full strength; the others stay close to the
            original on near-white ground.
        grounds: photographs that two images of five are put on.
    """
    return augment_with_alpha(rgba, generator, hard_share, grounds)[0]


def augment_with_alpha(
    rgba: Tensor, generator: torch.Generator, hard_share: float, grounds: list[Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """`augment`, and (B, 1, S, S) where the drawing came to lie."""
    draw = Draw(len(rgba), generator)
    hard = draw.chance(hard_share)
    strength = torch.where(hard, draw.uniform(0.3, 1), 0.15)
    layer = recolour(place(rgba.float() / 255, draw, strength), draw, strength)
    ground = backgrounds(draw, rgba.shape[-1], strength)
    if grounds:
        rows = torch.nonzero(draw.chance(0.4))[:, 0]
        if len(rows):
            ground[rows] = photographs(grounds, Draw(len(rows), generator), rgba.shape[-1])
    image = layer[:, :3] + (1 - layer[:, 3:]) * ground
    for share, change in (
        (0.25, lambda x, d: outline(x, d.uniform(0.3, 1))),
        (0.25, lambda x, d: blur(x)),
        (0.25, cutout),
    ):
        rows = torch.nonzero(hard & draw.chance(share))[:, 0]
        if len(rows):
            image[rows] = change(image[rows], Draw(len(rows), generator))
    noise = draw.uniform(0, 0.03)[:, None, None, None] * hard[:, None, None, None]
    return (image + noise * draw.normal(*image.shape[1:])).clamp(0, 1), layer[:, 3:]
