"""Exports, each read back by the library that it is for."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from bindplug.cli import main
from bindplug.detection.export import (
    brush_code,
    coco_dataset,
    label_studio_config,
    label_studio_task,
    write_yolo,
)
from bindplug.detection.results import Detections, run_lengths
from bindplug.errors import BindplugError, FileExists

HEIGHT, WIDTH = 30, 40


def found_in(image: str, count: int = 2) -> Detections:
    """A dog (class 0) and a cat (class 2) with masks."""
    boxes = np.array([[4, 6, 20, 26], [22, 3, 39, 12]], np.float32)[:count]
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[0, 8:24, 5:18] = True
    masks[1, 4:11, 24:38] = masks[1, 0, 0] = True
    scores, ids = np.array([0.9, 0.4], np.float32), np.array([0, 2])
    return Detections(boxes, scores[:count], ids[:count], masks[:count], HEIGHT, WIDTH,
                      ("dog.wav", "rain.wav", 'a "cat": big'), image)  # fmt: skip


@pytest.fixture
def entries(tmp_path):
    out = []
    for name, count in (("a.png", 2), ("b.png", 0)):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / name)
        out.append(found_in(str(tmp_path / name), count).to_dict())
    return out


def test_supervision():
    pytest.importorskip("supervision")
    found = found_in("a.png")
    there = found.to_supervision()
    assert np.array_equal(there.xyxy, found.boxes) and np.array_equal(there.mask, found.masks)
    assert np.array_equal(there.confidence, found.scores)
    assert there.class_id.tolist() == [0, 2]
    assert there.data["class_name"].tolist() == ["dog", 'a "cat": big']
    assert there[there.class_id == 2].box_area.tolist() == [17 * 9]
    assert len(found_in("a.png", 0).to_supervision()) == 0


def test_coco(entries, tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    (tmp_path / "coco.json").write_text(json.dumps(coco_dataset(entries)))
    data = coco.COCO(str(tmp_path / "coco.json"))
    assert sorted(data.getImgIds()) == [1, 2] and data.getAnnIds(imgIds=[2]) == []
    annotations = data.loadAnns(data.getAnnIds(imgIds=[1]))
    assert [data.loadCats(a["category_id"])[0]["name"] for a in annotations] == [
        "dog", 'a "cat": big',
    ]  # fmt: skip
    for annotation, mask in zip(annotations, found_in("a.png").masks, strict=True):
        assert np.array_equal(data.annToMask(annotation), mask)
        assert annotation["area"] == mask.sum()
    assert [a["bbox"] for a in annotations] == [[4, 6, 16, 20], [22, 3, 17, 9]]


def test_yolo(entries, tmp_path):
    supervision = pytest.importorskip("supervision")
    head = write_yolo(entries, tmp_path / "yolo")
    assert yaml.safe_load(head.read_text())["names"] == {0: "dog", 1: "class 1", 2: 'a "cat": big'}
    # supervision wants the names as a list
    names = tmp_path / "names.yaml"
    names.write_text(yaml.safe_dump({"names": ["dog", "class 1", "cat"]}))
    data = supervision.DetectionDataset.from_yolo(
        str(tmp_path), str(tmp_path / "yolo" / "labels"), str(names)
    )
    by_name = {Path(path).name: found for path, _, found in data}
    assert np.allclose(by_name["a.png"].xyxy, found_in("a.png").boxes, atol=1e-3)
    assert by_name["a.png"].class_id.tolist() == [0, 2] and len(by_name["b.png"]) == 0
    with pytest.raises(FileExists):
        write_yolo(entries, tmp_path / "yolo")
    with pytest.raises(BindplugError, match="two images of this name"):
        write_yolo([entries[0], {**entries[1], "image": "other/a.jpg"}], tmp_path / "twice")


def test_label_studio(entries):
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    config = label_studio_config(["dog", 'a "cat": big'])
    task = label_studio_task(entries[0], "small")
    [prediction] = task["predictions"]
    interface.LabelInterface(config).validate_prediction(prediction)
    boxes = [r["value"] for r in prediction["result"] if r["type"] == "rectanglelabels"]
    assert [b["rectanglelabels"] for b in boxes] == [["dog"], ['a "cat": big']]
    box = boxes[0]
    corner = (box["x"] * WIDTH / 100, box["y"] * HEIGHT / 100)
    assert corner == pytest.approx((4, 6)) and box["width"] * WIDTH / 100 == pytest.approx(16)
    assert prediction["score"] == pytest.approx(0.9)


@pytest.mark.parametrize("kind", ["some", "none", "all", "noise", "large"])
def test_label_studio_masks(kind):
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    rng = np.random.default_rng(0)
    mask = {
        "some": found_in("a.png").masks[1],
        "none": np.zeros((5, 7), bool),
        "all": np.ones((5, 7), bool),
        "noise": rng.random((9, 11)) < 0.5,
        "large": np.arange(300 * 300).reshape(300, 300) > 500,  # runs longer than 16 bits
    }[kind]
    decoded = brush.decode_rle(brush_code(run_lengths(mask)))
    assert np.array_equal(decoded.reshape(*mask.shape, 4), np.repeat(mask[..., None] * 255, 4, 2))


def test_command_line(tmp_path, monkeypatch, media):
    monkeypatch.chdir(tmp_path)
    flags = ["--label-studio", "tasks.json", "--yolo", "yolo", "--json", "all.json", "--no-overlay"]
    images = [str(media / name) for name in ("garden.png", "farm.png")]
    command = ["detect", "--audio", str(media / "dog.wav"), *images, *flags]
    run = CliRunner().invoke(main, command)
    assert run.exit_code == 0, run.output
    entries = json.loads(Path("all.json").read_text())["images"]
    tasks = json.loads(Path("tasks.json").read_text())
    assert tasks == [label_studio_task(entry, "detic/small") for entry in entries]
    assert Path("yolo/labels/garden.txt").read_text().startswith("0 ")
    assert Path("yolo/labels/farm.txt").exists() and Path("yolo/data.yaml").exists()
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    again = CliRunner().invoke(main, [*command[:-5], "--no-overlay"])
    assert again.exit_code == 2 and "exists" in again.output
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
