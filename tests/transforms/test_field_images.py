"""Tables and images as they come from the field."""

import io
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from bindplug.errors import BindplugError
from bindplug.imagebind import IMUConfig, VisionConfig
from bindplug.transforms.imu import transform_imu
from bindplug.transforms.vision import load_image

RATE = 16_000
SMALL = VisionConfig(image_size=64)


def test_a_table_with_a_byte_order_mark(tmp_path):
    rows = "\n".join(f"{i},2,3,4,5,6" for i in range(2400))
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / f"{encoding}.csv").write_text(rows, encoding=encoding)
    plain, marked = (
        transform_imu(str(tmp_path / f"{e}.csv"), IMUConfig(), rate=400)[0]
        for e in ("utf-8", "utf-8-sig")
    )
    assert torch.equal(plain, marked)
    file = io.BytesIO(rows.encode())
    assert torch.equal(transform_imu(file, IMUConfig(), rate=400)[0], plain)


def test_gray_of_many_bits(tmp_path):
    gray = np.arange(64 * 64).reshape(64, 64) % 256
    eight = np.asarray(load_image(Image.fromarray(gray.astype(np.uint8))))
    Image.fromarray((gray / 255).astype(np.float32)).save(tmp_path / "f.tif")
    Image.fromarray(gray.astype(np.int32)).save(tmp_path / "i.tif")
    Image.fromarray((gray * 257).astype(np.uint16)).save(tmp_path / "x.png")
    for source in (
        Image.fromarray(gray.astype(np.int32)),
        Image.fromarray(gray.astype(np.float32)),
        *(str(tmp_path / name) for name in ("f.tif", "i.tif", "x.png")),
    ):
        assert np.array_equal(np.asarray(load_image(source)), eight)
    dark = Image.fromarray((gray % 200).astype(np.uint16))  # 16 bits of a file, nearly black
    assert np.asarray(load_image(dark)).max() == 0
    with pytest.raises(BindplugError, match="8 or 16 bits"):
        load_image(Image.fromarray((gray * 1000).astype(np.int32)))


def test_an_orientation_among_broken_tags(tmp_path):
    exif = struct.pack("<HHHIHHHHI4s", 2, 0x112, 3, 1, 6, 0, 0x128, 2, 4, b"abc") + b"\0\0\0\0"
    path = str(tmp_path / "x.jpg")
    image = Image.new("RGB", (40, 30), "white")
    image.paste("red", (0, 0, 20, 30))
    image.save(path, exif=b"Exif\0\0II*\0\x08\0\0\0" + exif)
    upright = load_image(path, upright=True)
    assert upright.size == (30, 40) and load_image(path).size == (40, 30)
    assert upright.getpixel((15, 5))[1] < 50 < 200 < upright.getpixel((15, 35))[1]


def test_an_upright_image_stays_so(tmp_path):
    image, exif = Image.new("RGB", (40, 30)), Image.Exif()
    exif[0x112] = 6
    image.save(tmp_path / "x.jpg", exif=exif)
    once = load_image(tmp_path / "x.jpg", upright=True)
    assert once.size == load_image(once, upright=True).size == (30, 40)


@pytest.mark.parametrize("kind", ["AVIF", "DDS"])
def test_damaged_images_of_any_format(kind):
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, kind)
    data = bytearray(file.getvalue())
    at = data.find(b"mdat") + 4 if kind == "AVIF" else 84  # the pixels; the format's name
    data[at : at + 16] = b"\xff" * 16
    with pytest.raises(BindplugError, match=r"^image: .+ image"):
        load_image(io.BytesIO(bytes(data)))


def test_empty_crops():
    for crop in (
        np.zeros((0, 5, 3), np.uint8),
        torch.zeros(3, 5, 0).byte(),
        Image.new("RGB", (0, 5)),
    ):
        with pytest.raises(BindplugError, match="no pixels"):
            load_image(crop)
