"""Things that move, and what a sensor of motion fixed to each would say.

A motion is simulated at 1 kHz: where the thing is, how it is turned, how it shakes. The sensor
feels the acceleration R^T (a - g), with R from its axes (x forward, y up) to the world's, and the
rotation of R, both in its own axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE, EVERY, SECONDS = 1000, 10, 7  # Hz; samples that the sensor takes the mean of; of a recording
GRAVITY = 9.81
FALL = np.array([0, -GRAVITY, 0])
STEPS = RATE * SECONDS
TIME = np.arange(STEPS) / RATE


@dataclass(frozen=True)
class Motion:
    """Of a thing, T steps at 1 kHz.

    Attributes:
        place: (T, 3) metres, y up.
        turn: (T, 3) radians of roll, yaw and pitch.
        shake: (T, 3) m/s^2 in its own axes.
        phase: (T,) of what turns in the drawing, such as a wheel, in radians.
    """

    place: np.ndarray
    turn: np.ndarray
    shake: np.ndarray
    phase: np.ndarray


def boat(rng):
    """On waves of 3 to 6 s, which lift and turn it."""
    period, height = rng.uniform(3, 6), rng.uniform(0.2, 0.8)
    wave = 2 * np.pi * TIME / period + rng.uniform(0, 6.3)
    place = np.stack([rng.uniform(0, 2) * TIME, height * np.sin(wave), 0 * TIME], 1)
    roll = rng.uniform(0.05, 0.25) * np.sin(wave * rng.uniform(0.7, 0.9) + 1)
    pitch = height * rng.uniform(0.2, 0.4) * np.cos(wave)
    return Motion(place, np.stack([roll, 0 * roll, pitch], 1), _noise(rng, 0.05, 5), wave)


def rocket(rng):
    """Its engine pushes along its axis, ever more as it grows lighter, and shakes it."""
    thrust = rng.uniform(13, 16) * np.exp(rng.uniform(0.02, 0.12) * TIME)
    pitch = np.pi / 2 - rng.uniform(0.01, 0.08) * TIME * rng.choice([-1, 1])
    axis = np.stack([np.cos(pitch), np.sin(pitch), 0 * pitch], 1)
    acceleration = thrust[:, None] * axis + FALL
    place = np.cumsum(np.cumsum(acceleration, 0), 0) / RATE**2
    roll = rng.uniform(-0.3, 0.3) * TIME
    turn = np.stack([roll, 0 * pitch, pitch], 1)
    return Motion(place, turn, _noise(rng, rng.uniform(2, 5), 120), 40 * TIME)


def swing(rng):
    """A pendulum: angle'' = -(g / length) sin(angle) - friction angle'."""
    length, angle, speed = rng.uniform(1.5, 3), rng.uniform(0.4, 1.1) * rng.choice([-1, 1]), 0.0
    friction, angles = rng.uniform(0.01, 0.08), np.empty(STEPS)
    for i in range(STEPS):
        speed -= (GRAVITY / length * np.sin(angle) + friction * speed) / RATE
        angle += speed / RATE
        angles[i] = angle
    place = length * np.stack([np.sin(angles), -np.cos(angles), 0 * angles], 1)
    turn = np.stack([0 * angles, 0 * angles, angles], 1)
    return Motion(place, turn, _noise(rng, 0.1, 10), angles)


def car(rng):
    """Faster, slower and through bends on a road that shakes it the more, the faster it goes."""
    push = _noise(rng, rng.uniform(0.8, 2.5), 0.3)[:, 0]
    speed = np.clip(rng.uniform(6, 25) + np.cumsum(push) / RATE, 2, 40)
    yaw = np.cumsum(_noise(rng, rng.uniform(0.03, 0.2), 0.3)[:, 0]) / RATE
    heading = np.stack([np.cos(yaw), 0 * yaw, -np.sin(yaw)], 1)
    place = np.cumsum(speed[:, None] * heading, 0) / RATE
    road = _noise(rng, 1, 12) * [0.2, 1, 0.3] * speed[:, None] / 25
    pitch = 0.01 * np.gradient(speed, 1 / RATE)
    turn = np.stack([0 * yaw, yaw, pitch], 1)
    return Motion(place, turn, road, -np.cumsum(speed) / RATE / 0.35)


def bicycle(rng):
    """Ridden: it sways from side to side with the pedals and shakes on its hard tyres."""
    speed, pedal = rng.uniform(3, 8), 2 * np.pi * rng.uniform(0.8, 1.5) * TIME
    roll = rng.uniform(0.04, 0.12) * np.sin(pedal + rng.uniform(0, 6.3))
    yaw = np.cumsum(GRAVITY / speed * np.sin(roll)) / RATE  # it steers where it leans
    heading = np.stack([np.cos(yaw), 0 * yaw, -np.sin(yaw)], 1)
    place = np.cumsum(speed * (1 + 0.02 * np.sin(2 * pedal))[:, None] * heading, 0) / RATE
    shake = _noise(rng, rng.uniform(1, 2.5), 25) * [0.4, 1, 0.4]
    return Motion(place, np.stack([roll, yaw, 0 * yaw], 1), shake, -speed * TIME / 0.35)


def helicopter(rng):
    """Hovers; each blade that passes shakes it."""
    drift = np.cumsum(np.cumsum(_noise(rng, 0.4, 0.3), 0), 0) / RATE**2
    rotor = 2 * np.pi * rng.uniform(4, 7) * TIME
    shake = _noise(rng, 0.5, 60)
    for multiple in (1, 2, 4):
        strength = rng.uniform(0.5, 2, 3) / multiple**0.5
        shake = shake + strength * np.sin(multiple * rotor[:, None] + rng.uniform(0, 6.3, 3))
    turn = np.cumsum(_noise(rng, 0.05, 0.4), 0) / RATE
    return Motion(drift, turn, shake, rotor)


THINGS = {"boat": boat, "rocket": rocket, "swing": swing, "car": car, "bicycle": bicycle,
          "helicopter": helicopter}  # fmt: skip


def sensed(motion: Motion, rng: np.random.Generator) -> np.ndarray:
    """(T / 10, 7) of a recording at 100 Hz: seconds; acceleration, m/s^2; rotation, rad/s."""
    roll, yaw, pitch = motion.turn.T
    axes = _about(1, yaw) @ _about(2, pitch) @ _about(0, roll)  # (T, 3, 3)
    acceleration = np.gradient(np.gradient(motion.place, 1 / RATE, axis=0), 1 / RATE, axis=0)
    felt = np.einsum("tji,tj->ti", axes, acceleration - FALL) + motion.shake
    change = np.einsum("tji,tjk->tik", axes, np.gradient(axes, 1 / RATE, axis=0))
    rotation = np.stack([change[:, 2, 1], change[:, 0, 2], change[:, 1, 0]], 1)
    both = np.concatenate([felt, rotation], 1).reshape(-1, EVERY, 6).mean(1)
    both += rng.normal(0, [0.03] * 3 + [0.003] * 3, 6) + rng.normal(0, 0.02, both.shape)
    return np.concatenate([TIME[::EVERY, None], both], 1)


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """(T, 3, 3) rotations about an axis of the world."""
    out = np.zeros((len(angle), 3, 3))
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    out[:, axis, axis] = 1
    out[:, a, a] = out[:, b, b] = np.cos(angle)
    out[:, a, b], out[:, b, a] = -np.sin(angle), np.sin(angle)
    return out


def _noise(rng: np.random.Generator, strength: float, most: float) -> np.ndarray:
    """(T, 3) of a deviation, with frequencies up to `most` Hz."""
    count = int(most * SECONDS) + 2
    spectrum = np.zeros((STEPS // 2 + 1, 3), complex)
    spectrum[1:count] = rng.normal(size=(count - 1, 3)) + 1j * rng.normal(size=(count - 1, 3))
    wave = np.fft.irfft(spectrum, STEPS, axis=0)
    return strength * wave / wave.std(0)
