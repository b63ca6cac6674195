import numpy as np
import pytest

from bindplug.detection.results import Detections
from bindplug.errors import BindplugError
from bindplug.evaluation import average_precision, proposal_recall
from bindplug.evaluation.detection import coco_figures, complete


def detections(boxes, scores, ids):
    return Detections(
        np.array(boxes, np.float32), np.array(scores, np.float32), np.array(ids), None, 100, 100
    )


def test_average_precision():
    pytest.importorskip("pycocotools")
    truth, labels = [np.array([[10.0, 10, 50, 50]])], [np.array([3])]
    right = [detections([[11, 10, 50, 50], [60, 60, 90, 90]], [0.9, 0.2], [3, 3])]
    assert average_precision(right, truth, labels)["AP50"] == pytest.approx(1.0)
    late = [detections([[11, 10, 50, 50], [60, 60, 90, 90]], [0.2, 0.9], [3, 3])]
    assert average_precision(late, truth, labels)["AP50"] == pytest.approx(0.5)
    none = [detections(np.zeros((0, 4)), [], np.zeros(0, int))]
    assert average_precision(none, truth, labels)["AP50"] == 0


def test_proposal_recall():
    truth = [np.array([[0.0, 0, 10, 10], [50, 50, 60, 60]])]
    assert proposal_recall([np.array([[1.0, 0, 10, 10]])], truth) == 0.5
    assert proposal_recall([np.zeros((0, 4))], truth) == 0


@pytest.fixture
def truth():
    return {
        "images": [{"id": 7, "file_name": "a.png"}],
        "categories": [{"id": 3}],
        "annotations": [{"image_id": 7, "category_id": 3, "bbox": [10, 10, 40, 40]}],
    }


FOUND = [{"image_id": 7, "category_id": 3, "bbox": [10, 10, 40, 40], "score": 0.9}]


def test_what_a_coco_file_may_lack(truth):
    pytest.importorskip("pycocotools")
    row = complete(truth, "t")["annotations"][0]
    assert (row["id"], row["area"], row["iscrowd"]) == (1, 1600, 0)
    assert coco_figures(truth, FOUND)["AP"] == pytest.approx(1.0)
    truth["annotations"][0]["id"] = 0  # pycocotools alone: AP 0
    assert coco_figures(truth, FOUND)["AP"] == pytest.approx(1.0)
    truth["annotations"][0]["iscrowd"] = 1
    assert coco_figures(truth, FOUND)["AP"] is None
    assert coco_figures({**truth, "annotations": []}, FOUND)["AP50"] is None
    truth["annotations"][0]["iscrowd"] = 0
    with pytest.raises(BindplugError, match="truth: cannot be evaluated by pycocotools"):
        coco_figures(truth, [{**FOUND[0], "image_id": 8}], "truth")


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("images", {"id": None}, "entry 1 of images has no id"),
        ("categories", {"id": [1]}, "entry 1 of categories has no id"),
        ("annotations", {"image_id": 8}, "image_id 8 is not among the images"),
        ("annotations", {"category_id": None}, "category_id None is not among"),
        ("annotations", {"bbox": [1, 2, 3]}, "bbox is not"),
        ("annotations", {"bbox": [1, 2, 3, float("nan")]}, "bbox is not"),
    ],
)
def test_what_a_coco_file_may_not_lack(truth, kind, change, words):
    truth[kind][0].update(change)
    with pytest.raises(BindplugError, match=words):
        complete(truth, "t.json")
    truth[kind][0] = 5
    with pytest.raises(BindplugError, match="is not a JSON object"):
        complete(truth, "t.json")


def test_two_images_of_one_id(truth):
    truth["images"].append({"id": 7})
    with pytest.raises(BindplugError, match="has the id 7 of another"):
        complete(truth, "t.json")
    truth["images"][1]["id"] = "7"
    with pytest.raises(BindplugError, match="no id of the same kind"):
        complete(truth, "t.json")
