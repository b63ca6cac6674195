"""Frames of the things that move, drawn as they stand and are turned at one moment."""

from __future__ import annotations

import numpy as np
from motion import Motion
from PIL import Image, ImageDraw

SIZE, FINER = 160, 3  # pixels; drawn so many times larger

COLOURS = ["#d03030", "#2f6fd0", "#e8a020", "#2f9d4f", "#f5f5f5", "#8a4fb0"]


class Pen:
    """Draws in metres, y up, on a canvas of 4 by 4 metres around (0, 0); parts of a thing are moved
    and turned with it."""

    def __init__(self, sky: str):
        self.image = Image.new("RGB", (SIZE * FINER,) * 2, sky)
        self.draw = ImageDraw.Draw(self.image)
        self.place, self.angle = np.zeros(2), 0.0

    def at(self, x: float, y: float, angle: float = 0.0) -> Pen:
        self.place, self.angle = np.array([x, y]), angle
        return self

    def _pixels(self, points) -> list[tuple[float, float]]:
        c, s = np.cos(self.angle), np.sin(self.angle)
        points = np.atleast_2d(points) @ np.array([[c, s], [-s, c]]) + self.place
        return [tuple(p) for p in (points * [1, -1] + 2) * SIZE * FINER / 4]

    def area(self, points, colour: str) -> None:
        self.draw.polygon(self._pixels(points), fill=colour, outline="#222222", width=FINER)

    def line(self, points, width: float, colour: str = "#222222") -> None:
        width = max(1, round(width * SIZE * FINER / 4))
        self.draw.line(self._pixels(points), fill=colour, width=width, joint="curve")

    def disc(self, x: float, y: float, radius: float, colour: str | None, width: int = 1) -> None:
        (px, py), r = self._pixels((x, y))[0], radius * SIZE * FINER / 4
        self.draw.ellipse([px - r, py - r, px + r, py + r], fill=colour, outline="#222222",
                          width=width * FINER)  # fmt: skip

    def oval(self, x: float, y: float, rx: float, ry: float, colour: str) -> None:
        a = np.linspace(0, 2 * np.pi, 40)
        self.area(np.stack([x + rx * np.cos(a), y + ry * np.sin(a)], 1), colour)

    def ground(self, height: float, colour: str) -> None:
        self.at(0, 0)
        self.area([(-3, height), (3, height), (3, -3), (-3, -3)], colour)

    def wheel(self, x: float, y: float, radius: float, phase: float, spokes: int) -> None:
        self.disc(x, y, radius, None if spokes > 4 else "#333333", 3)
        for a in phase + np.arange(spokes) * 2 * np.pi / spokes:
            end = (x + 0.9 * radius * np.cos(a), y + 0.9 * radius * np.sin(a))
            self.line([(x, y), end], 0.02, "#888888")


def draw(name: str, motion: Motion, step: int, rng: np.random.Generator) -> Image.Image:
    """A frame, SIZE by SIZE pixels, of the thing at a step of its motion."""
    pen = Pen(["#a8d4ff", "#dfefff", "#ffe6c8", "#bfe3d0"][rng.integers(4)])
    colour = COLOURS[rng.integers(len(COLOURS))]
    state = (motion.place[step], motion.turn[step], float(motion.phase[step]))
    DRAWN[name](pen, colour, *state)
    return pen.image.resize((SIZE, SIZE), Image.Resampling.BOX)


def _boat(pen, colour, place, turn, phase):
    pen.at(0, 0.8 * place[1] - 0.5, turn[2])
    pen.line([(0, 0), (0, 1.9)], 0.07, "#6b4a2b")
    lean = 1 + turn[0]  # the sail is seen under the roll
    pen.area([(0.08, 0.35), (0.08, 1.8), (1.0 * lean, 0.35)], "#ffffff")
    pen.area([(-0.08, 0.35), (-0.08, 1.6), (-0.75 * lean, 0.35)], colour)
    pen.area([(-1.1, 0.2), (1.2, 0.2), (0.8, -0.4), (-0.8, -0.4)], "#8a5a2b")
    x = np.linspace(-2, 2, 60)
    y = 0.8 * place[1] * np.cos(x) - 0.75 + 0.06 * np.sin(9 * x + phase)
    pen.at(0, 0).area([*zip(x, y, strict=True), (2, -3), (-2, -3)], "#2a6fa8")


def _rocket(pen, colour, place, turn, phase):
    if place[1] < 30:
        pen.ground(-1.3 - place[1] / 10, "#7a9a5a")
    pen.at(0, 0.1, turn[2] - np.pi / 2)
    flame = 1.5 + 0.25 * np.sin(phase)
    pen.area([(-0.2, -0.95), (0.2, -0.95), (0, -flame)], "#ff9a20")
    pen.area([(-0.28, -0.3), (-0.28, -0.95), (-0.6, -1.1), (-0.55, -0.7)], colour)
    pen.area([(0.28, -0.3), (0.28, -0.95), (0.6, -1.1), (0.55, -0.7)], colour)
    pen.area([(-0.28, -0.95), (0.28, -0.95), (0.28, 0.7), (0.15, 1.15), (0, 1.4), (-0.15, 1.15),
              (-0.28, 0.7)], "#f2f2f2")  # fmt: skip
    pen.area([(-0.28, 0.7), (0.28, 0.7), (0.15, 1.15), (0, 1.4), (-0.15, 1.15)], colour)
    pen.disc(0, 0.35, 0.15, "#5aa0d8")


def _swing(pen, colour, place, turn, phase):
    pen.ground(-1.5, "#7db05a")
    for x in (-1.2, 1.2):
        pen.at(x, 0).line([(0.3 * np.sign(x), -1.5), (0, 1.5)], 0.1, "#8a5a2b")
        pen.line([(-0.3 * np.sign(x), -1.5), (0, 1.5)], 0.1, "#8a5a2b")
    pen.at(0, 0).line([(-1.25, 1.5), (1.25, 1.5)], 0.12, "#8a5a2b")
    x, y = 2.2 * np.sin(turn[2]), 1.5 - 2.2 * np.cos(turn[2])
    for side in (-0.3, 0.3):
        pen.line([(side, 1.5), (x + side, y)], 0.04, "#444444")
    pen.at(x, y).area([(-0.42, 0.07), (0.42, 0.07), (0.42, -0.08), (-0.42, -0.08)], colour)


def _car(pen, colour, place, turn, phase):
    pen.ground(-0.95, "#6a6a6a")
    pen.at(0, -0.3, turn[2])
    pen.area([(-1.6, -0.35), (-1.6, 0.1), (-1.0, 0.2), (-0.6, 0.7), (0.5, 0.7), (0.95, 0.2),
              (1.6, 0.05), (1.65, -0.35)], colour)  # fmt: skip
    pen.area([(-0.85, 0.2), (-0.52, 0.6), (-0.08, 0.6), (-0.08, 0.2)], "#bfe0f5")
    pen.area([(0.05, 0.2), (0.05, 0.6), (0.45, 0.6), (0.78, 0.2)], "#bfe0f5")
    pen.at(0, 0)
    for x in (-0.95, 1.0):
        pen.wheel(x, -0.66, 0.34, phase, 4)


def _bicycle(pen, colour, place, turn, phase):
    pen.ground(-1.1, "#8c8c80")
    pen.at(0, 0, 0.5 * turn[0])
    for x in (-0.9, 0.9):
        pen.wheel(x, -0.5, 0.6, phase, 10)
    for points in ([(-0.9, -0.5), (-0.35, 0.35), (0.6, 0.35), (-0.05, -0.5), (-0.9, -0.5)],
                   [(-0.05, -0.5), (-0.42, 0.55)], [(0.9, -0.5), (0.55, 0.65)]):  # fmt: skip
        pen.line(points, 0.09, colour)
    pen.line([(-0.65, 0.57), (-0.2, 0.57)], 0.13)
    pen.line([(0.35, 0.8), (0.55, 0.65), (0.75, 0.7)], 0.08)
    pedal = np.array([np.cos(phase / 2.5), np.sin(phase / 2.5)]) * 0.25
    axle = np.array([-0.05, -0.5])
    pen.line([axle - pedal, axle + pedal], 0.07)


def _helicopter(pen, colour, place, turn, phase):
    pen.at(0.1 * place[0], 0.1 * place[1], turn[2])
    pen.area([(-0.4, 0.15), (-1.7, 0.35), (-1.7, 0.2), (-0.4, -0.3)], colour)
    pen.area([(-1.85, 0.65), (-1.6, 0.65), (-1.6, 0.2), (-1.8, 0.2)], colour)
    pen.oval(0.2, 0, 0.85, 0.5, colour)
    pen.area([(0.25, 0.4), (0.65, 0.35), (1.0, 0.0), (0.3, 0.0)], "#bfe0f5")
    pen.line([(0.1, 0.5), (0.1, 0.75)], 0.1)
    reach = 1.7 * np.cos(phase)
    pen.line([(0.1 - reach, 0.78), (0.1 + reach, 0.78)], 0.07)
    for x in (-0.2, 0.6):
        pen.line([(x, -0.4), (x, -0.75)], 0.06)
    pen.line([(-0.7, -0.75), (1.1, -0.75)], 0.09)


DRAWN = {"boat": _boat, "rocket": _rocket, "swing": _swing, "car": _car, "bicycle": _bicycle,
         "helicopter": _helicopter}  # fmt: skip
