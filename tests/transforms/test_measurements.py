"""Depth, thermal and IMU against figures worked out by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

from bindplug import BindplugError
from bindplug.imagebind import DepthConfig, IMUConfig, ThermalConfig
from bindplug.transforms.depth import fill_holes, transform_depth
from bindplug.transforms.imu import transform_imu
from bindplug.transforms.thermal import transform_thermal

SMALL = DepthConfig(image_size=32)


def expected_depth(metres, baseline=0.075, focal=518.85790117):
    return (min(baseline * focal / metres, 75) / 75 - 0.0418) / 0.0295


def test_depth_is_disparity():
    x = transform_depth(np.full((48, 64), 2.0), SMALL)
    assert x.shape == (1, 32, 32) and x.dtype == torch.float32
    assert np.allclose(x, expected_depth(2.0), atol=1e-5)
    x = transform_depth(np.full((48, 64), 2.0), SMALL, baseline=0.095, focal_length=600)
    assert np.allclose(x, expected_depth(2.0, 0.095, 600), atol=1e-5)
    assert np.allclose(transform_depth(np.full((9, 9), 99.0), SMALL), expected_depth(50), atol=1e-5)


def test_depth_units_agree(tmp_path):
    metres = np.linspace(0.6, 7.9, 48 * 64, dtype=np.float32).reshape(48, 64).round(3)
    mm = (metres * 1000).round().astype(np.uint16)
    want = transform_depth(metres, SMALL)
    Image.fromarray(mm).save(tmp_path / "mm.png")
    assert torch.allclose(transform_depth(tmp_path / "mm.png", SMALL), want, atol=1e-4)
    packed = (mm << 3) | (mm >> 13)
    Image.fromarray(packed.astype(np.uint16)).save(tmp_path / "sun.png")
    got = transform_depth(tmp_path / "sun.png", SMALL, unit="sunrgbd")
    assert torch.allclose(got, want, atol=1e-4)
    np.save(tmp_path / "m.npy", metres)
    assert torch.equal(transform_depth(tmp_path / "m.npy", SMALL), want)
    assert torch.equal(transform_depth(torch.from_numpy(metres)[None], SMALL), want)


def test_depth_holes_are_filled_from_their_edge():
    depth = torch.full((5, 7), 3.0)
    depth[1:4, 2:5] = 0
    depth[2, 3] = torch.nan
    assert torch.allclose(fill_holes(depth), torch.full((5, 7), 3.0))
    depth = torch.tensor([[1.0, 0, 0, 0, 5.0]])
    assert torch.allclose(fill_holes(depth), torch.tensor([[1.0, 1, 3, 5, 5]]))


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (np.zeros((4, 4)), {}, "no pixel with a depth"),
        (np.full((4, 4), np.nan), {}, "no finite"),
        (np.full((4, 4), -1.0), {}, "negative"),
        (np.ones((4, 4), np.uint8), {}, "8 bits"),
        (np.ones((4, 4, 3)), {}, "one channel"),
        (np.ones((4, 4)), {"unit": "feet"}, "unit 'feet'"),
        (np.ones((4, 4)), {"unit": "sunrgbd"}, "16 bits"),
        (np.ones((4, 4)), {"baseline": 0}, "baseline"),
        (np.ones((4, 4)), {"baseline": "x"}, "baseline"),
    ],
)
def test_what_is_no_depth(data, options, words):
    with pytest.raises(BindplugError, match=words):
        transform_depth(data, SMALL, **options)


@pytest.mark.parametrize("span", [[1, 2, 3], 5, "ab", [2, 1], [0, float("inf")]])
def test_what_is_no_span(span):
    with pytest.raises(BindplugError, match="give two finite numbers"):
        transform_thermal(np.ones((4, 4)), ThermalConfig(image_size=32), span=span)


def test_thermal():
    config = ThermalConfig(image_size=32)
    eight = np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(4, 0).repeat(4, 1)
    x = transform_thermal(eight, config)
    assert x.shape == (1, 32, 32) and x.min() >= 0 and x.max() <= 1
    assert abs(float(x.mean()) - 0.5) < 0.01
    raw = eight.astype(np.uint16) * 20 + 7000
    assert torch.allclose(transform_thermal(raw, config, span=(7000, 7000 + 255 * 20)), x)
    assert torch.allclose(transform_thermal(Image.fromarray(eight).convert("RGB"), config), x)
    own = transform_thermal(raw, config)
    assert own.max() - own.min() > 0.9, "counts are not spread"
    assert transform_thermal(np.full((9, 9), 7000, np.uint16), config).max() == 0
    for data, options, words in (
        (np.full((4, 4), np.nan), {}, "finite"),
        (np.ones((4, 4), np.uint16), {"span": (5, 5)}, "span"),
        (np.ones((3, 4, 4)), {}, "one channel"),
    ):
        with pytest.raises(BindplugError, match=words):
            transform_thermal(data, config, **options)


def ramp(rate, seconds):
    return np.arange(6)[:, None] + np.arange(int(rate * seconds))[None] / rate


def test_imu_is_resampled_to_400_hz(tmp_path):
    config = IMUConfig()
    x, times = transform_imu((ramp(200, 7), 200), config)
    assert x.shape == (1, 6, 2000) and times == [(1.0, 6.0)]
    want = np.arange(6)[:, None] + 1.0 + np.arange(2000)[None] / 400
    assert np.allclose(x[0], want, atol=1e-5)
    turned, _ = transform_imu(ramp(200, 7).T, config, rate=200)
    assert torch.equal(turned, x)
    table = np.column_stack([3 + np.arange(1400) / 200, ramp(200, 7).T])
    header = "t,ax,ay,az,gx,gy,gz"
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header=header, comments="")
    assert torch.allclose(transform_imu(tmp_path / "a.csv", config)[0], x, atol=1e-4)
    assert len(transform_imu((ramp(200, 12), 200), config, clips="all")[1]) == 3
    scaled, _ = transform_imu((ramp(200, 7), 200), config, acceleration="g", rotation="deg/s")
    factor = np.array([9.80665] * 3 + [np.pi / 180] * 3)[:, None]
    assert np.allclose(scaled[0].numpy(), x[0].numpy() * factor, rtol=1e-5)


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (ramp(200, 7), {}, "rate None"),
        ((ramp(200, 7), 0), {}, "rate 0"),
        ((ramp(200, 4), 200), {}, "at least 5 s"),
        (np.ones((5, 4000)), {"rate": 400}, "(6, T)"),
        ((np.full((6, 4000), np.nan), 400), {}, "NaN"),
        ((ramp(200, 7), 200), {"acceleration": "feet"}, "feet"),
        ((ramp(200, 7), 200), {"clips": 0}, "clips 0"),
    ],
)
def test_what_is_no_imu(data, options, words):
    with pytest.raises(BindplugError) as err:
        transform_imu(data, IMUConfig(), **options)
    assert words in str(err.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty file"),
        ("\n", "no rows"),
        ("1,2,3\n", "3 columns"),
        ("1,2,3,4,5,6\n1,2,3,4,5,x\n", "row 2"),
        ("1,1,2,3,4,5,6\n0,1,2,3,4,5,6\n", "always increasing"),
    ],
)
def test_what_is_no_imu_file(tmp_path, text, words):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(BindplugError, match=words) as err:
        transform_imu(tmp_path / "x.csv", IMUConfig(), rate=200)
    assert "x.csv" in str(err.value)
