"""Picture tensors against the reference's, exact to the bit."""

import numpy as np
import pytest
from PIL import Image

from bindplug.errors import BindplugError
from bindplug.imagebind import VisionConfig
from bindplug.transforms.vision import load_image, resize_and_crop, transform_image

NAMES = [
    "grad_640x427",
    "grad_300x500",
    "grad_641x427_odd",
    "small_100x80_up",
    "exact_224x224",
    "gray_L_257x225",
    "rgba_260x300",
    "palette_300x230",
    "wide_900x60",
]


def test_an_option_that_is_no_boolean():
    """Of any other value nobody knows which of the two it means."""
    with pytest.raises(BindplugError, match="no upright 'nein'; choose True or False"):
        transform_image(np.zeros((8, 8, 3), np.uint8), VisionConfig(), upright="nein")


@pytest.mark.parametrize("name", NAMES)
def test_exact(name, golden):
    folder = golden / "imagebind_transforms"
    path = folder / "image" / f"{name}.png"
    expected = np.load(folder / "image_tensors.npz")
    crop = np.asarray(resize_and_crop(load_image(path), 224))
    assert np.array_equal(crop.transpose(2, 0, 1), expected[f"{name}/u8"])
    if name in expected:
        assert np.array_equal(transform_image(path, VisionConfig()).numpy(), expected[name])


def test_kinds_of_picture():
    gray16 = Image.fromarray((np.arange(64 * 64).reshape(64, 64) * 16).astype(np.uint16))
    assert np.asarray(load_image(gray16)).max() == 255
    assert load_image(Image.new("CMYK", (9, 9))).mode == "RGB"
    assert load_image(np.zeros((5, 7, 3), np.uint8)).size == (7, 5)
    assert transform_image(Image.new("RGB", (1, 1)), VisionConfig(image_size=64)).shape[-1] == 64
    with pytest.raises(BindplugError, match="uint8"):
        load_image(np.zeros((5, 7, 3), np.float32))
