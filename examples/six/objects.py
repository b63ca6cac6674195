"""Eight things built of solids, each part with its colour and its own heat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapes import Distance, box, cone, ellipsoid, ring, roof, without


@dataclass(frozen=True)
class Part:
    """A solid.

    Attributes:
        colour: RGB reflectance in [0, 1]; what is not reflected warms it in the sun.
        heat: kelvin that it is warmer than the air by itself.
    """

    distance: Distance
    colour: tuple[float, float, float]
    heat: float = 0.0


def candle(rng):
    tall = rng.uniform(0.8, 1.1)
    return [
        Part(cone((0, tall / 2, 0), 0.16, 0.16, tall), (0.95, 0.9, 0.8), 2),
        Part(cone((0, tall - 0.06, 0), 0.161, 0.161, 0.12), (0.98, 0.9, 0.7), 25),  # molten
        Part(ellipsoid((0, tall + 0.17, 0), (0.08, 0.17, 0.08)), (1.0, 0.6, 0.1), 330),
        Part(cone((0, 0.03, 0), 0.35, 0.3, 0.06), (0.6, 0.5, 0.2)),
    ]


def cup(rng):
    hot, colour = rng.uniform(25, 45), _bright(rng)
    wall = without(cone((0, 0.35, 0), 0.38, 0.42, 0.7), cone((0, 0.42, 0), 0.33, 0.37, 0.7))
    return [
        Part(wall, colour, 0.7 * hot),
        Part(cone((0, 0.3, 0), 0.33, 0.35, 0.5), (0.3, 0.17, 0.08), hot),  # coffee
        Part(ring((0.45, 0.38, 0), 0.2, 0.05), colour, 0.3 * hot),
    ]


def house(rng):
    wall, warm = (0.9, 0.85, 0.7), rng.uniform(6, 14)
    windows = [Part(box((x, 0.45, 0.5), (0.1, 0.12, 0.01)), (0.4, 0.6, 0.9), warm)
               for x in (-0.28, 0.28)]  # fmt: skip
    return [
        Part(box((0, 0.35, 0), (0.5, 0.35, 0.5)), wall, warm / 5),
        Part(roof((0, 0.7, 0), (0.62, 0.56), 0.45), (0.75, 0.2, 0.12), warm / 8),
        Part(box((0, 0.22, 0.5), (0.1, 0.22, 0.015)), (0.4, 0.2, 0.1), warm / 3),
        Part(box((0.25, 1.05, -0.1), (0.07, 0.22, 0.07)), (0.6, 0.25, 0.2), 3 * warm),  # chimney
        *windows,
    ]


def snowman(rng):
    snow, cold, coal = (0.95, 0.96, 1.0), -rng.uniform(8, 20), (0.05, 0.05, 0.05)
    return [
        Part(ellipsoid((0, 0.38, 0), 0.4), snow, cold),
        Part(ellipsoid((0, 0.9, 0), 0.28), snow, cold),
        Part(ellipsoid((0, 1.28, 0), 0.2), snow, cold),
        Part(ellipsoid((0, 1.28, 0.27), (0.04, 0.04, 0.14)), (1.0, 0.45, 0.05)),  # carrot
        *[Part(ellipsoid((x, 1.34, 0.17), 0.035), coal) for x in (-0.08, 0.08)],
        *[Part(ellipsoid((0, y, 0.27), 0.04), coal) for y in (0.82, 0.98)],
        Part(cone((0, 1.46, 0), 0.26, 0.26, 0.04), coal),
        Part(cone((0, 1.6, 0), 0.16, 0.16, 0.28), coal),
    ]


def chair(rng):
    wood = tuple(np.array([0.55, 0.33, 0.15]) * rng.uniform(0.8, 1.3))
    legs = [Part(box((x, 0.25, z), (0.045, 0.25, 0.045)), wood)
            for x in (-0.3, 0.3) for z in (-0.3, 0.3)]  # fmt: skip
    back = [Part(box((x, 0.85, -0.3), (0.045, 0.4, 0.045)), wood) for x in (-0.3, 0, 0.3)]
    rail = Part(box((0, 1.22, -0.3), (0.34, 0.07, 0.045)), wood)
    return [Part(box((0, 0.52, 0), (0.36, 0.05, 0.36)), wood), rail, *legs, *back]


def tree(rng):
    green = (0.08, rng.uniform(0.35, 0.5), 0.12)
    crown = [Part(cone((0, 0.45 + 0.3 * i, 0), 0.55 - 0.14 * i, 0.1 - 0.03 * i, 0.45), green, -1)
             for i in range(4)]  # fmt: skip
    return [Part(cone((0, 0.15, 0), 0.1, 0.1, 0.3), (0.35, 0.2, 0.1)), *crown]


def bottle(rng):
    green = (0.1, 0.45, 0.2)
    return [Part(cone((0, 0.4, 0), 0.25, 0.25, 0.8), green, -6),
            Part(cone((0, 0.9, 0), 0.25, 0.08, 0.2), green, -6),
            Part(cone((0, 1.15, 0), 0.08, 0.08, 0.3), green, -4),
            Part(cone((0, 0.45, 0), 0.256, 0.256, 0.35), (0.95, 0.9, 0.8), -6)]  # fmt: skip


def ice_cream(rng):
    return [Part(cone((0, 0.45, 0), 0.02, 0.3, 0.9), (0.8, 0.55, 0.25)),
            Part(ellipsoid((0, 1.0, 0), 0.34), (1.0, 0.7, 0.75), -18)]  # fmt: skip


def _bright(rng) -> tuple[float, float, float]:
    colours = [(0.85, 0.1, 0.1), (0.1, 0.3, 0.85), (0.95, 0.75, 0.1), (0.1, 0.6, 0.25)]
    return colours[rng.integers(len(colours))]


OBJECTS = {
    "candle": candle, "cup": cup, "house": house, "snowman": snowman, "chair": chair, "tree": tree,
    "bottle": bottle, "ice cream": ice_cream,
}  # fmt: skip
