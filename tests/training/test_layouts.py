"""Tiny imitations of data sets as they are downloaded."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bindplug import BindplugError
from bindplug.imagebind import DepthConfig, IMUConfig
from bindplug.training.data.inputs import open_input
from bindplug.training.data.rows import Bad, Crop, Moment
from bindplug.training.data.sources import kind_of, read_rows
from bindplug.transforms.depth import transform_depth
from bindplug.transforms.imu import transform_imu


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def picture(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_audioset(tmp_path, make_video):
    write(tmp_path / "class_labels_indices.csv",
          'index,mid,display_name\n0,/m/1,"Speech"\n1,/m/2,"Bark, yip"\n')  # fmt: skip
    head = "# Segments csv\n# num_ytids=2\n# YTID, start_seconds, end_seconds, positive_labels\n"
    write(
        tmp_path / "balanced_train_segments.csv",
        head + '-abcdefghij, 0.000, 10.000, "/m/1,/m/2"\nGONEGONEGON, 0.000, 10.000, "/m/1"\n',
    )
    write(tmp_path / "eval_segments.csv", head + 'evalevaleva, 0.000, 10.000, "/m/2"\n')
    for name in ("-abcdefghij_0.000_10.000.mp4", "evalevaleva.mp4"):
        target = tmp_path / "clips" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(Path(make_video("red", seconds=1, tone=300)).read_bytes())
    assert kind_of(str(tmp_path)) == "audioset"
    [row] = read_rows(f"{tmp_path}#balanced_train", "audioset", [], Bad())
    assert row.labels == ("Speech", "Bark, yip")
    assert row.inputs["audio"] == row.inputs["image"] and isinstance(row.inputs["image"][0], Moment)
    assert len(read_rows(str(tmp_path), "audioset", [], Bad())) == 2
    with pytest.raises(BindplugError, match=r"has no none_segments.csv"):
        read_rows(f"{tmp_path}#none", "audioset", [], Bad())


def test_sunrgbd(tmp_path):
    place = tmp_path / "SUNRGBD" / "xtion" / "sun3ddata" / "hall" / "0001"
    picture(place / "image" / "0001.jpg", np.zeros((6, 8, 3), np.uint8))
    metres = np.full((6, 8), 2.5)
    code = (metres * 1000).astype(np.uint16)
    picture(place / "depth_bfx" / "0001.png", (code << 3) | (code >> 13))
    write(place / "intrinsics.txt", "570.3 0 320 0 570.3 240 0 0 1\n")
    write(place / "scene.txt", "bedroom\n")
    write(tmp_path / "SUNRGBD" / "kv2" / "broken" / "scene.txt", "office")
    write(tmp_path / "train.txt", "SUNRGBD/xtion/sun3ddata/hall/0001/\n")
    assert kind_of(str(tmp_path)) == "sunrgbd"
    bad = Bad()
    [row] = read_rows(str(tmp_path), "sunrgbd", [], bad)
    assert row.labels == ("bedroom",) and "broken" in bad.messages[0]
    of = row.options["depth"]
    assert of == {"unit": "sunrgbd", "focal_length": 570.3, "baseline": 0.095}
    x = transform_depth(row.inputs["depth"][0], DepthConfig(image_size=16), **of)
    expected = (0.095 * 570.3 / 2.5 / 75 - 0.0418) / 0.0295
    assert np.allclose(x, expected, atol=1e-4)
    assert len(read_rows(f"{tmp_path}#train", "sunrgbd", [], Bad())) == 1


NOTE = """<annotation><size><width>200</width><height>100</height></size>
<object><name>person</name><bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40</xmax><ymax>90</ymax>
</bndbox></object></annotation>"""


def test_llvip(tmp_path):
    image = np.zeros((100, 200, 3), np.uint8)
    image[20:90, 10:40] = 255
    for split in ("train", "test"):
        picture(tmp_path / "visible" / split / "010001.jpg", image)
        picture(tmp_path / "infrared" / split / "010001.jpg", image[..., 0])
    write(tmp_path / "Annotations" / "010001.xml", NOTE)
    assert kind_of(str(tmp_path)) == "llvip"
    [row] = read_rows(str(tmp_path), "llvip", [], Bad())
    assert set(row.inputs) == {"image", "thermal"} and not row.labels
    person, background = read_rows(f"{tmp_path}#test", "llvip", [], Bad())
    assert person.labels == ("person",) and background.labels == ("background",)
    crop = person.inputs["image"][0]
    assert isinstance(crop, Crop) and crop.box == (10, 20, 40, 90)
    assert np.asarray(open_input("image", crop)).mean() > 240
    assert open_input("thermal", person.inputs["thermal"][0]).mean() > 240
    assert open_input("thermal", background.inputs["thermal"][0]).mean() < 15
    again = read_rows(f"{tmp_path}#test", "llvip", [], Bad())
    assert again[1].inputs == background.inputs  # the same places each time
    (tmp_path / "Annotations" / "010001.xml").write_text("<annotation>")
    with pytest.raises(BindplugError, match=r"010001.xml: cannot be read.*--strict"):
        read_rows(f"{tmp_path}#test", "llvip", [], Bad(True))


def test_ego4d(tmp_path, make_video):
    film = Path(make_video("red", seconds=10, rate=5)).read_bytes()
    videos = [{"video_uid": u, "scenarios": ["Cooking"], "duration_sec": 10.0} for u in "ab"]
    write(tmp_path / "ego4d.json", json.dumps({"videos": videos}))
    (tmp_path / "v2" / "full_scale").mkdir(parents=True)
    (tmp_path / "v2" / "full_scale" / "a.mp4").write_bytes(film)
    time = np.arange(0, 10, 0.005)  # 200 Hz; acceleration in x is the time itself
    lines = [f"{i},{1000 * t},{0.1},{0.2},{0.3},{t},{9.8},{0}" for i, t in enumerate(time)]
    lines[7] = "7,35.0,,,,,,"
    head = "component_idx,canonical_timestamp_ms,gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z"
    for uid in "ab":
        write(tmp_path / "v2" / "imu" / f"{uid}.csv", "\n".join([head, *lines]))
    assert kind_of(str(tmp_path)) == "ego4d"
    bad = Bad()
    [row] = read_rows(str(tmp_path), "ego4d", [], bad)
    assert row.labels == ("Cooking",) and "has no video b.mp4" in bad.messages[0]
    for share, middle in ((0.5, 5.0), (0.4, 4.0), (0.0, 2.5), (1.0, 7.5)):
        data, rate = open_input("imu", row.inputs["imu"][0], share, 5.0)
        assert abs(data[0].mean() - middle) < 0.02 and rate == 200
        assert np.allclose(data[4], 9.8) is False and np.allclose(data[1], 9.8)
        x, _ = transform_imu((data, rate), IMUConfig())
        assert x.shape == (1, 6, 2000)
    assert open_input("image", row.inputs["image"][0], 0.5).size == (96, 64)
    with pytest.raises(BindplugError, match=r"5 s are needed"):
        open_input("imu", Moment(row.inputs["imu"][0].path, 0.0, 3.0), 0.5, 5.0)
