"""What settings are taken, and what is refused in one line."""

import numpy as np
import pytest

from bindplug import BindplugError
from bindplug.generation import GenerationSettings
from bindplug.generation.settings import MAX_SEED, whole_number


def test_integers_of_numpy_are_taken():
    settings = GenerationSettings(steps=np.int64(5), height=np.uint8(64), noise_level=np.int32(3))
    assert settings == GenerationSettings(steps=5, height=64, noise_level=3)
    assert type(settings.steps) is int
    assert whole_number("seed", np.uint64(2**63), 0, MAX_SEED) == 2**63
    assert GenerationSettings(guidance_scale=np.float32(2)).guidance_scale == 2.0


def test_given_are_those_that_differ():
    assert GenerationSettings().given() == {}
    given = GenerationSettings(steps=4, text="oil", strength=0.6).given()
    assert given == {"steps": 4, "text": "oil"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0), ("steps", 1001), ("steps", 2.5), ("steps", "many"), ("steps", float("nan")),
        ("guidance_scale", float("inf")), ("guidance_scale", float("nan")),
        ("guidance_scale", -1), ("guidance_scale", "high"),
        ("strength", float("nan")), ("strength", 0), ("strength", 1.1), ("strength", None),
        ("noise_level", 1000), ("height", 30), ("width", 0), ("text", 3),
    ],
)  # fmt: skip
def test_refused(name, value):
    with pytest.raises(BindplugError, match=f"^{name} ") as refused:
        GenerationSettings(**{name: value})
    assert "\n" not in str(refused.value)


def test_bounds_are_taken():
    for name, value in (("guidance_scale", 0), ("strength", 1), ("noise_level", 999)):
        assert getattr(GenerationSettings(**{name: value}), name) == value
