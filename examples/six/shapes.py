"""Solids as signed distances: how far a point is from a surface, in metres, negative inside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Distance = Callable[[np.ndarray], np.ndarray]  # (N, 3) points, y up, to (N,)


def ellipsoid(centre, radii) -> Distance:
    """Exact for spheres, else a bound (I. Quilez, "Ellipsoid SDF")."""
    centre, radii = np.array(centre), np.broadcast_to(radii, 3)

    def distance(p):
        scaled = (p - centre) / radii
        length = np.linalg.norm(scaled, axis=1)
        slope = np.linalg.norm(scaled / radii, axis=1)
        return length * (length - 1) / np.maximum(slope, 1e-6)

    return distance


def box(centre, half) -> Distance:
    centre, half = np.array(centre), np.array(half)

    def distance(p):
        outside = np.abs(p - centre) - half
        inside = np.minimum(outside.max(1), 0)
        return np.linalg.norm(np.maximum(outside, 0), axis=1) + inside

    return distance


def cone(centre, below: float, above: float, height: float) -> Distance:
    """A frustum that stands upright, of the radius `below` at its foot and `above` at its top; a
    cylinder where both are equal. A bound of the distance."""
    centre = np.array(centre)
    slope = (below - above) / height
    steep = (1 + slope * slope) ** 0.5

    def distance(p):
        q = p - centre
        radius = (below + above) / 2 - slope * q[:, 1]
        side = (np.hypot(q[:, 0], q[:, 2]) - radius) / steep
        return np.maximum(side, np.abs(q[:, 1]) - height / 2)

    return distance


def ring(centre, radius: float, thickness: float) -> Distance:
    """A torus in the plane of x and y."""
    centre = np.array(centre)

    def distance(p):
        q = p - centre
        return np.hypot(np.hypot(q[:, 0], q[:, 1]) - radius, q[:, 2]) - thickness

    return distance


def roof(centre, half, height: float) -> Distance:
    """A prism whose ridge runs along z, over a base of the half sides x and z. A bound."""
    centre, (x, z) = np.array(centre), half
    normal = np.array([height, x]) / np.hypot(height, x)

    def distance(p):
        q = p - centre
        side = np.abs(q[:, 0]) * normal[0] + (q[:, 1] - height) * normal[1]
        return np.maximum(np.maximum(side, -q[:, 1]), np.abs(q[:, 2]) - z)

    return distance


def without(a: Distance, b: Distance) -> Distance:
    return lambda p: np.maximum(a(p), -b(p))
