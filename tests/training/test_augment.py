import numpy as np
import pytest
import torch
from PIL import Image

from bindplug import BindplugError
from bindplug.models.towers.build import make_trunk
from bindplug.models.towers.spec import parse_tower
from bindplug.training.data.augment import (
    Augmentation,
    Geometry,
    augment_clip,
    augment_source,
    parse_augmentations,
)
from bindplug.training.data.augment_sound import add_noise, equalize, low_pass
from bindplug.training.data.loader import Loader
from bindplug.training.data.randaugment import RANGES, _apply, color_jitter, randaugment
from bindplug.training.data.rows import Row


def rng(seed=0):
    return np.random.default_rng(seed)


def test_sets_and_names():
    of = parse_augmentations(("image=strong", "audio=window,frequency-mask:12"), ["image", "audio"])
    assert dict(of["audio"].steps) == {"window": 1, "frequency_mask": 12}
    assert {n for n, _ in of["image"].steps} == {
        "crop", "flip", "color_jitter", "randaugment", "random_erasing"
    }  # fmt: skip
    assert not parse_augmentations(("audio=none",), ["audio"])["audio"]
    assert not parse_augmentations((), ["text"])["text"]


@pytest.mark.parametrize("text", [
    "audio=crop", "image=frequency_mask", "image=crop:2", "image=crop:x", "video=basic", "image",
    "text=strong", "image=flip:nan", "audio=speed", "image=noise",
])  # fmt: skip
def test_bad_names(text):
    with pytest.raises(BindplugError, match="augmentation"):
        parse_augmentations((text,), ["image", "audio", "text"])


@pytest.mark.parametrize("axis", [-2, -1])
def test_masks_are_stripes_of_at_most_so_many_lines(axis):
    of = Augmentation((("frequency_mask", 12.0), ("time_mask", 30.0)))
    widths = set()
    for seed in range(60):
        x = augment_clip(torch.ones(1, 128, 204), of, rng(seed), axis)
        bands = (x[0] == 0).all(dim=1 if axis == -2 else 0)
        frames = (x[0] == 0).all(dim=0 if axis == -2 else 1)
        widths.add(int(bands.sum()))
        assert bands.sum() <= 12 and frames.sum() <= 30
        filled = torch.nonzero(bands)[:, 0]
        assert not len(filled) or filled[-1] - filled[0] + 1 == len(filled)
        expected = 1 - (1 - bands.float().mean()) * (1 - frames.float().mean())
        assert torch.isclose((x == 0).float().mean(), expected, atol=1e-6)
    assert {0, 12} <= widths  # from nothing to all


def test_random_erasing():
    of = Augmentation((("random_erasing", 1.0),))
    shares = [
        (augment_clip(torch.zeros(3, 64, 64), of, rng(i), None) != 0).float().mean().item()
        for i in range(50)
    ]
    assert min(shares) < 0.08 and 0.2 < max(shares) < 0.4
    assert torch.equal(
        augment_clip(torch.zeros(3, 8, 8), Augmentation((("random_erasing", 0.0),)), rng(), None),
        torch.zeros(3, 8, 8),
    )


def test_crops_keep_the_least_share():
    for seed in range(200):
        numbers = rng(seed).random(5)
        left, top, right, bottom = Geometry(*numbers).box(200, 100, 0.5)
        assert 0 <= left < right <= 200 and 0 <= top < bottom <= 100
        assert (right - left) * (bottom - top) >= 0.45 * 200 * 100


def test_a_window_of_a_sound():
    wave = np.arange(48_000, dtype=np.float32)[None] / 48_000
    of = parse_augmentations((), ["audio"])["audio"]
    starts = set()
    for seed in range(20):
        cut, rate = augment_source((wave, 16_000), "audio", of, None, rng(seed), 2.0)
        assert cut.shape == (1, 32_000) and rate == 16_000
        starts.add(round(float(cut[0, 0]) * 48_000))
    assert len(starts) > 15 and max(starts) <= 16_000


def sine(hz, rate=16_000, seconds=4.0):
    time = np.arange(round(seconds * rate)) / rate
    return np.sin(2 * np.pi * hz * time).astype(np.float32)[None]


def levels(wave, rate):
    """Frequencies in Hz, and the power of each."""
    return np.fft.rfftfreq(wave.shape[1], 1 / rate), np.abs(np.fft.rfft(wave[0])) ** 2


def test_the_loudest_of_some_windows():
    wave = np.zeros((1, 80_000), np.float32)
    wave[:, 30_000:40_000] = 0.5
    of = parse_augmentations(("audio=window:8",), ["audio"])["audio"]
    cut = [augment_source((wave, 8_000), "audio", of, None, rng(s), 2.0)[0] for s in range(20)]
    heard = [(x == 0.5).sum() for x in cut]
    assert sum(n > 5_000 for n in heard) > 10  # of single draws, fewer than a third


@pytest.mark.parametrize("begins", [10_000, 79_000])
def test_no_window_is_silent(begins, caplog):
    wave = np.zeros((2, 80_000), np.float32)
    wave[1, begins : begins + 500] = 0.5
    of = parse_augmentations(("audio=window",), ["audio"])["audio"]
    cut = [augment_source((wave, 8_000), "audio", of, None, rng(s), 2.0)[0] for s in range(20)]
    assert all(x.shape == (2, 16_000) and x.any() for x in cut)
    silence, _ = augment_source((0 * wave, 8_000), "audio", of, None, rng(0), 2.0)
    assert silence.shape == (2, 16_000) and not silence.any()


def test_speed_changes_pitch_and_length():
    of = parse_augmentations(("audio=window,speed:0.25",), ["audio"])["audio"]
    heard = []
    for seed in range(30):
        cut, rate = augment_source((sine(1000), 16_000), "audio", of, None, rng(seed), 2.0)
        assert abs(cut.shape[1] / rate - 2.0) < 0.01
        frequency, power = levels(cut, rate)
        heard.append(frequency[power.argmax()])
    assert 795 < min(heard) < 850 and 1180 < max(heard) < 1255


def test_an_equalizer_stays_in_its_bounds():
    click = np.zeros((1, 16_000), np.float32)
    click[0, 8_000] = 1
    gains = [10 * np.log10(levels(equalize(click, 16_000, 6, rng(s)), 16_000)[1]) for s in range(9)]
    assert np.abs(gains).max() < 6.1 and np.ptp(gains) > 8
    assert np.abs(np.diff(gains)[:, 200:]).max() < 0.1  # and smooth


def test_noise_lies_so_much_below():
    below = []
    for seed in range(60):
        noisy = add_noise(sine(440), 15, rng(seed))
        if (power := np.square(noisy - sine(440)).mean()) > 0:
            below.append(10 * np.log10(0.5 / power))
    assert 20 < len(below) < 40 and 14.9 < min(below) < 25 and 45 < max(below) < 55.1
    assert not add_noise(np.zeros((2, 100), np.float32), 15, rng()).any()


def test_low_pass_leaves_what_is_below():
    both = sine(1000, 32_000) + sine(14_000, 32_000)
    cut = [low_pass(both, 32_000, 3000, rng(s)) for s in range(30)]
    changed = [x for x in cut if not np.array_equal(x, both)]
    assert 4 < len(changed) < 18
    assert all(np.abs(x - sine(1000, 32_000)).max() < 1e-3 for x in changed)


def ramp(seconds, rate=100):
    """(6, T) motion whose channels are its time in seconds, times 1 to 6."""
    return np.arange(seconds * rate) / rate * np.arange(1, 7)[:, None]


def write_motion(path, with_time):
    data, offset = ramp(9), 3.0 if with_time else 0.0
    rows = [[offset + data[0, i], *data[:, i]] if with_time else data[:, i] for i in range(900)]
    path.write_text("\n".join(",".join(map(str, row)) for row in rows))
    return str(path)


@pytest.mark.parametrize("with_time", [True, False])
def test_a_window_of_motion(tmp_path, with_time):
    """5 of 9 s of a CSV, elsewhere in each view; the whole trunk's input starts there."""
    path = write_motion(tmp_path / "m.csv", with_time)
    trunk = make_trunk(parse_tower("imu=imagebind:width=8,depth=1,heads=1"), None)
    options = {} if with_time else {"imu": {"rate": 100}}
    row, starts = Row({"imu": (path,)}, "x"), []
    for steps in ("basic", "none"):
        loader = Loader({"imu": trunk}, parse_augmentations((f"imu={steps}",), ["imu"]), options)
        clips = [loader.view(row, "imu", path, i) for i in range(20)]
        assert all(clip.shape == (6, 2000) for clip in clips)
        starts.append({round(float(clip[0, 0]), 2) for clip in clips})
        ends = [float(clip[5, -1] / 6 - clip[0, 0]) for clip in clips]
        assert np.allclose(ends, 5, atol=0.011)  # 1 / 100 s is the recording's own step
    assert len(starts[0]) > 15 and min(starts[0]) >= 0 and max(starts[0]) <= 4
    assert starts[1] == {2.0}  # the middle


def test_motion_that_is_too_short_is_named(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("\n".join([",".join(["0"] * 6)] * 100))
    trunk = make_trunk(parse_tower("imu=imagebind:width=8,depth=1,heads=1"), None)
    of = parse_augmentations((), ["imu"])
    loader = Loader({"imu": trunk}, of, {"imu": {"rate": 100}})
    with pytest.raises(BindplugError, match=r"m\.csv: 1\.00 s long; at least 5 s"):
        loader.view(Row({"imu": (str(path),)}, "x"), "imu", str(path), 0)


@pytest.mark.parametrize("name", RANGES)
def test_operations_change_the_image(name):
    image = Image.fromarray(rng().integers(0, 200, (32, 40, 3)).astype(np.uint8))
    out = _apply(image, name, RANGES[name], 1)
    assert out.size == image.size and out.mode == "RGB"
    assert (np.asarray(out) == np.asarray(image)).all() == (name == "identity")


def test_the_same_generator_gives_the_same_image():
    image = Image.fromarray(rng().integers(0, 255, (32, 32, 3)).astype(np.uint8))
    for change in (lambda r: randaugment(image, 9, r), lambda r: color_jitter(image, 0.4, r)):
        a, b, c = (np.asarray(change(rng(s))) for s in (1, 1, 2))
        assert (a == b).all() and not (a == c).all()
