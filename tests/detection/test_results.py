import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bindplug.detection.results import Detections, coco_results, document, run_lengths
from bindplug.embedding.inputs import caption
from bindplug.errors import BindplugError
from bindplug.storage.atomic import write_file


@pytest.fixture
def found():
    masks = np.zeros((2, 40, 60), dtype=bool)
    masks[0, 10:20, 5:25] = True
    masks[1, 0:4, 0:4] = True
    return Detections(
        boxes=np.array([[5, 10, 25, 20], [0, 0, 4, 4]], dtype=np.float32),
        scores=np.array([0.9, 0.4], dtype=np.float32),
        class_ids=np.array([1, 0]),
        masks=masks,
        height=40,
        width=60,
        names=("a cat", "sounds/dog.wav"),
        image="pictures/park.jpg",
        picture=Image.new("RGB", (60, 40), "gray"),
        metadata={"model": "small", "detector": "detic/small", "bridge": "identity"},
    )


def decode(rle):
    values = np.arange(len(rle["counts"])) % 2
    return np.repeat(values, rle["counts"]).reshape(rle["size"], order="F").astype(bool)


def test_run_lengths_round_trip(found):
    for mask in [*found.masks, np.ones((3, 5), bool), np.zeros((3, 5), bool)]:
        assert np.array_equal(decode(run_lengths(mask)), mask)


def test_run_lengths_are_cocos(found):
    mask_api = pytest.importorskip("pycocotools.mask")
    rle = run_lengths(found.masks[0])
    theirs = mask_api.decode(mask_api.frPyObjects(rle, *rle["size"]))
    assert np.array_equal(theirs.astype(bool), found.masks[0])


def test_json(found, tmp_path):
    paths = found.save(tmp_path)
    assert [p.name for p in paths] == ["park.png", "park.json"]
    data = json.loads(paths[1].read_text())
    assert data == json.loads(json.dumps(document([found])))
    assert {k: data[k] for k in ("schema", "model", "detector", "bridge")} == {
        "schema": 1, "model": "small", "detector": "detic/small", "bridge": "identity",
    }  # fmt: skip
    first = data["images"][0]["objects"][0]
    assert first["query"] == "sounds/dog.wav"
    assert first["box"] == {"xmin": 5, "ymin": 10, "xmax": 25, "ymax": 20}
    assert first["mask"]["size"] == [40, 60]
    assert Image.open(paths[0]).size == (60, 40)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["park.json", "park.png"]


def test_nothing_is_overwritten_unasked(found, tmp_path):
    found.save(tmp_path)
    with pytest.raises(BindplugError, match="exists"):
        found.save(tmp_path)
    found.save(tmp_path, overwrite=True)


def test_captions():
    assert caption("sounds/my dog.WAV") == "my dog"
    assert caption("a St. Bernard") == "a St. Bernard"
    assert caption("and/or") == "and/or"


def test_coco(found):
    rows = coco_results([found])
    assert rows[0]["bbox"] == [5, 10, 20, 10] and rows[0]["category_id"] == 2
    assert rows[0]["image_id"] == 1 and np.isclose(rows[0]["score"], 0.9)


def test_indexing(found):
    assert found[found.scores > 0.5].labels == ["sounds/dog.wav"]
    assert found[:0].overlay().size == (60, 40)


def test_a_failed_write_leaves_nothing(tmp_path):
    def fail(file):
        file.write(b"half")
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        write_file(tmp_path / "x.json", fail)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder(found, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BindplugError, match="cannot be written"):
        found.save(tmp_path / "file" / "out")


def test_one_object_each(found):
    first, second = found
    assert len(found[0]) == len(first) == 1 and first.boxes.shape == (1, 4)
    assert first.masks.shape == (1, 40, 60) and first.labels == ["sounds/dog.wav"]
    assert found[1] == found[-1] == found[np.int64(1)] == second != first
    assert [one.labels for one in found] == [["sounds/dog.wav"], ["a cat"]]
    with pytest.raises(IndexError):
        found[2]
    assert len(found[[]]) == len(found[:0]) == len(found[np.array([False, False])]) == 0


def test_equality_is_of_the_content(found):
    same = replace(found, boxes=found.boxes.copy(), picture=None)
    assert (found == same) is True and hash(found) == hash(same) and len({found, same}) == 1
    for name in ("boxes", "scores", "class_ids", "masks"):
        changed = getattr(found, name).copy()
        changed[0] = changed[1]
        assert (found == replace(found, **{name: changed})) is False
    assert found != replace(found, masks=None) and found != replace(found, image="other.png")
    assert found != found[:1] and found != "found" and found is not None
    assert found[0] in found and found[0] not in found[1:]
    assert bool(found) and not found[:0]
    zero = replace(found, boxes=np.where(found.boxes == 0, -0.0, found.boxes).astype(np.float32))
    assert zero == found and hash(zero) == hash(found)


def test_under_another_name_and_without_an_overlay(found, tmp_path):
    found = replace(found, sha256="ab" * 32)
    assert [p.name for p in found.save(tmp_path, stem="x", overlay=False)] == ["x.json"]
    [image] = json.loads((tmp_path / "x.json").read_text())["images"]
    assert image["image"] == "pictures/park.jpg" and image["sha256"] == "ab" * 32
