"""One view of a thing on the ground in the sun: its colours, its depth and its temperatures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from objects import Part

SIZE = 128  # pixels
FOCAL = 1.25 * SIZE  # pixels
FAR = 20.0  # metres, the reach of the depth camera
REACH = 1.7  # metres: a ball around (0, 0.7, 0) that holds every thing
MIDDLE = np.array([0.0, 0.7, 0.0])
SUN, LOSS = 700.0, 70.0  # W / m^2: of sunlight, and what a face radiates to a clear sky above it
COOLING = 15.0  # W / (m^2 K) that moving air takes away


@dataclass(frozen=True)
class View:
    """What three cameras at one place see.

    Attributes:
        image: (H, W, 3) uint8.
        depth: (H, W) metres along the optical axis.
        heat: (H, W) kelvin, the temperature of each face.
    """

    image: np.ndarray
    depth: np.ndarray
    heat: np.ndarray


def render(parts: list[Part], rng: np.random.Generator) -> View:
    """A thing from a random side, in a random sun, which in a third of the views has only just come
    out and has warmed nothing yet."""
    eye, rays, forward = _camera(rng)
    at = _first_hit(parts, eye, rays)
    ground = np.where(rays[:, 1] < -1e-6, -eye[1] / np.minimum(rays[:, 1], -1e-6), np.inf)
    on_thing = at < ground
    at = np.minimum(at, ground)
    seen = np.isfinite(at)
    points = eye + np.where(seen, at, 0)[:, None] * rays
    normals = np.tile([0.0, 1.0, 0.0], (len(rays), 1))
    colour, own = np.empty((len(rays), 3)), np.zeros(len(rays))
    colour[:] = _ground(points, rng)
    which = np.argmin([part.distance(points[on_thing]) for part in parts], axis=0)
    colour[on_thing] = np.array([part.colour for part in parts])[which]
    own[on_thing] = np.array([part.heat for part in parts])[which]
    normals[on_thing] = _normals(parts, points[on_thing])
    sun = _unit(np.array([rng.uniform(-1, 1), rng.uniform(0.6, 1.5), rng.uniform(0.2, 1)]))
    lit = np.maximum(normals @ sun, 0)
    lit *= ~np.isfinite(_first_hit(parts, points + 0.01 * normals, np.tile(sun, (len(rays), 1))))
    sky = 0.5 + 0.5 * normals[:, 1]  # the share of it that a face sees
    image = colour * (0.25 + 0.25 * sky + 0.6 * lit)[:, None]
    above = np.clip(rays[:, 1:2] + 0.2, 0, 1)
    image = np.where(seen[:, None], image, [0.75, 0.85, 1.0] - above * [0.35, 0.25, 0.0])
    sunlight = SUN * rng.uniform(0.5, 1) * (rng.random() > 1 / 3)
    air = 273.15 + rng.uniform(5, 25)
    gained = (1 - colour.mean(1)) * sunlight * lit - LOSS * sky
    up = np.sqrt(np.clip(rays[:, 1], 0, 1))
    kelvin = np.where(seen, air + own + gained / COOLING, air - 5 - 40 * up)
    kelvin += rng.normal(0, 0.05, len(kelvin))  # of the camera
    depth = np.where(seen, at * (rays @ forward), FAR)
    depth *= 1 + rng.normal(0, 0.004, len(depth))
    shape = (SIZE, SIZE)
    pixels = (255 * np.clip(image + rng.normal(0, 0.01, image.shape), 0, 1)).astype(np.uint8)
    return View(pixels.reshape(*shape, 3), depth.clip(0, FAR).reshape(shape), kelvin.reshape(shape))


def _camera(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Its place, the (N, 3) unit rays of its pixels, and its axis."""
    turn, lift, distance = rng.uniform(-0.7, 0.7), rng.uniform(0.15, 0.6), rng.uniform(2.6, 3.8)
    eye = MIDDLE + distance * np.array(
        [np.sin(turn) * np.cos(lift), np.sin(lift), np.cos(turn) * np.cos(lift)]
    )
    aim = MIDDLE + rng.uniform(-0.15, 0.15, 3)
    forward = _unit(aim - eye)
    right = _unit(np.cross(forward, [0.0, 1.0, 0.0]))
    up = np.cross(right, forward)
    y, x = np.mgrid[:SIZE, :SIZE].reshape(2, -1) - (SIZE - 1) / 2
    rays = forward + (x[:, None] * right - y[:, None] * up) / FOCAL
    return eye, rays / np.linalg.norm(rays, axis=1, keepdims=True), forward


def _first_hit(parts: list[Part], start: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """(N,) metres along each ray to the thing, infinite where it passes by: sphere tracing
    (J. C. Hart, The Visual Computer 12, 1996)."""
    start = np.broadcast_to(start, rays.shape)
    towards = ((MIDDLE - start) * rays).sum(1)
    miss = ((MIDDLE - start) ** 2).sum(1) - towards**2
    out = np.full(len(rays), np.inf)
    rows = np.flatnonzero(miss < REACH**2)
    half = np.sqrt(REACH**2 - miss[rows])
    at, end = np.maximum(towards[rows] - half, 0), towards[rows] + half
    for _ in range(64):
        points = start[rows] + at[:, None] * rays[rows]
        near = np.min([part.distance(points) for part in parts], axis=0)
        hit = near < 2e-3
        out[rows[hit]] = at[hit]
        at = at + 0.9 * near
        left = ~hit & (at < end)
        rows, at, end = rows[left], at[left], end[left]
        if not len(rows):
            break
    return out


def _normals(parts: list[Part], points: np.ndarray) -> np.ndarray:
    def distance(p):
        return np.min([part.distance(p) for part in parts], axis=0)

    step = 1e-3 * np.eye(3)
    slopes = np.stack([distance(points + s) - distance(points - s) for s in step], axis=1)
    return slopes / np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), 1e-9)


def _ground(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grass, sand, snow or stone, in random waves."""
    base = np.array([(0.3, 0.5, 0.2), (0.8, 0.7, 0.5), (0.9, 0.92, 0.95), (0.5, 0.5, 0.5)])
    base = base[rng.integers(len(base))] * rng.uniform(0.8, 1.1)
    waves = np.sin(points[:, [0, 2]] @ rng.normal(0, 4, (2, 3)) + rng.uniform(0, 6, 3)).mean(1)
    return (base * (1 + 0.12 * waves[:, None])).clip(0, 1)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)
