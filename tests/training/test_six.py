"""The made pairs of examples/six follow the physics that they claim."""

import importlib
from pathlib import Path

import numpy as np
import pytest

SIX = Path(__file__).parents[2] / "examples" / "six"


@pytest.fixture
def six(monkeypatch):
    """Imports a script of the example by its name."""
    monkeypatch.syspath_prepend(str(SIX))
    return importlib.import_module


def still(motion, **changes):
    zero = np.zeros((motion.STEPS, 3))
    given = {"place": zero, "turn": zero, "shake": zero, "phase": zero[:, 0], **changes}
    return motion.sensed(motion.Motion(**given), np.random.default_rng(0))


def test_a_sensor_at_rest_feels_gravity_upwards(six):
    motion = six("motion")
    rest = still(motion)
    assert rest.shape == (700, 7) and rest[-1, 0] == pytest.approx(6.99)
    assert np.allclose(rest[:, 1:].mean(0), [0, 9.81, 0, 0, 0, 0], atol=0.1)
    on_its_tail = np.zeros((motion.STEPS, 3))
    on_its_tail[:, 2] = np.pi / 2  # its nose, x, points up
    assert np.allclose(still(motion, turn=on_its_tail)[:, 1:4].mean(0), [9.81, 0, 0], atol=0.1)


def test_a_turning_sensor_says_how_fast_in_its_own_axes(six):
    motion = six("motion")
    for axis, rate in ((0, 0.5), (1, -0.3), (2, 0.8)):  # roll about x, yaw about y, pitch about z
        turn = np.zeros((motion.STEPS, 3))
        turn[:, axis] = rate * motion.TIME
        found = still(motion, turn=turn)[:, 4:].mean(0)
        assert np.allclose(found, np.eye(3)[axis] * rate, atol=0.02)


def test_falling_feels_nothing_and_a_bend_pushes_inwards(six):
    motion = six("motion")
    fall = np.zeros((motion.STEPS, 3))
    fall[:, 1] = -9.81 / 2 * motion.TIME**2
    assert np.allclose(still(motion, place=fall)[5:-5, 1:4].mean(0), 0, atol=0.1)
    turn, radius, pace = np.zeros((motion.STEPS, 3)), 10.0, 0.5  # radians a second, to the left
    turn[:, 1] = angle = pace * motion.TIME
    circle = radius * np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
    felt = still(motion, place=circle, turn=turn)[5:-5, 1:4].mean(0)
    assert np.allclose(felt, [0, 9.81, -radius * pace**2], atol=0.1)  # z points to the right


def test_a_swing_is_heaviest_at_its_lowest_point(six):
    motion = six("motion")
    made = motion.swing(np.random.default_rng(3))
    felt = motion.sensed(made, np.random.default_rng(0))
    angle = made.phase.reshape(-1, motion.EVERY).mean(1)
    length = np.linalg.norm(made.place[0])
    speed = np.gradient(angle, motion.EVERY / motion.RATE)
    expected = length * speed**2 + 9.81 * np.cos(angle)  # of a pendulum, along the rope
    assert np.abs(felt[5:-5, 2] - expected[5:-5]).mean() < 0.15
    assert np.abs(felt[5:-5, 1]).mean() < 0.3  # and nothing along its way but friction


@pytest.mark.parametrize("name", ["boat", "rocket", "car", "bicycle", "helicopter"])
def test_frames_show_the_state(six, name):
    motion, frames = six("motion"), six("frames")
    made = motion.THINGS[name](np.random.default_rng(1))
    a, b, again = (
        np.asarray(frames.draw(name, made, step, np.random.default_rng(0)))
        for step in (2100, 3700, 2100)
    )
    assert a.shape == (160, 160, 3) and (a == again).all() and not (a == b).all()
    assert np.isfinite(motion.sensed(made, np.random.default_rng(0))).all()


def test_depth_is_that_of_the_ground_and_heat_that_of_the_balance(six):
    """Seen from the side: depth falls towards the feet as a plane's; at night only a thing's own
    heat and its loss to the sky are left."""
    render, objects = six("render"), six("objects")
    for seed in range(6):
        view = render.render(objects.candle(np.random.default_rng(0)), np.random.default_rng(seed))
        column = view.depth[:, 2]
        ground = column[column < 0.99 * render.FAR][-40:]
        slopes = np.diff(1 / ground[::8])  # 1 / depth of a plane is linear in the image
        assert np.allclose(slopes, slopes.mean(), rtol=0.25)
        flame = view.heat.max() - np.median(view.heat[-5:])
        assert 250 < flame < 420


def test_every_thing_is_seen(six):
    render, objects = six("render"), six("objects")
    for i, (name, build) in enumerate(objects.OBJECTS.items()):
        rng = np.random.default_rng(i)
        view = render.render(build(rng), rng)
        assert view.image.std() > 10 and 1 < view.depth.min() < 4, name


def test_distances_are_those_of_the_solids(six):
    shapes = six("shapes")
    p = np.array([[0.0, 0, 0], [2, 0, 0], [0, 3, 0]])
    assert np.allclose(shapes.ellipsoid((0, 0, 0), 1)(p)[1:], [1, 2])
    assert np.allclose(shapes.box((0, 0, 0), (1, 1, 1))(p), [-1, 1, 2])
    assert np.allclose(shapes.cone((0, 0, 0), 1, 1, 2)(p), [-1, 1, 2])
    assert np.allclose(shapes.ring((0, 0, 0), 1, 0.5)(p), [0.5, 0.5, 1.5])
    below, above = shapes.roof((0, 0, 0), (1, 1), 1)(np.array([[0, 0.9, 0], [0, 1.1, 0]]))
    assert below < 0 < above
    hollow = shapes.without(shapes.ellipsoid((0, 0, 0), 1), shapes.ellipsoid((0, 0, 0), 0.5))
    inside, wall = hollow(np.array([[0.0, 0.1, 0], [0.75, 0, 0]]))
    assert wall < 0 < inside
