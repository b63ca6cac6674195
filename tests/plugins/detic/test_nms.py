"""Which boxes of one class are kept, on boxes worked out by hand."""

import pytest
import torch

from bindplug_detic.config import NMS
from bindplug_detic.roi_heads import select_detections

THING = [0.0, 0.0, 100.0, 100.0]
PART = [70.0, 0.0, 100.0, 20.0]  # all of it in the thing
BESIDE = [80.0, 30.0, 110.0, 50.0]  # two thirds of it in the thing
AROUND = [0.0, 0.0, 200.0, 200.0]  # a quarter of it is the thing
BOXES = torch.tensor([THING, PART, BESIDE, AROUND])
SCORES = torch.tensor([[0.9, 0.1], [0.8, 0.7], [0.7, 0.1], [0.6, 0.1]])


@pytest.mark.parametrize(
    ("nms", "kept"),
    [
        (NMS(), [0, 1, 2, 3]),
        (NMS(inside=0.7), [0, 2, 3]),
        (NMS(inside=0.6), [0, 3]),
        (NMS(iou=0.2), [0, 1, 2]),
    ],
)
def test_a_part_of_a_better_box_is_dropped(nms, kept):
    boxes, scores, ids = select_detections(BOXES, SCORES, 0.5, False, 10, nms)
    of_first = ids == 0
    assert boxes[of_first].tolist() == BOXES[kept].tolist()
    assert scores[of_first].tolist() == SCORES[kept, 0].tolist()


def test_boxes_give_way_to_kept_ones_only():
    chain = torch.tensor([[0.0, 0, 100, 100], [25.0, 0, 125, 100], [55.0, 0, 155, 100]])
    # Of the third, 0.7 lies in the second and 0.45 in the first.
    scores = torch.tensor([[0.9], [0.8], [0.7]])
    boxes, _, _ = select_detections(chain, scores, 0.5, False, 10, NMS(iou=0.9, inside=0.6))
    assert boxes.tolist() == chain[[0, 2]].tolist()


def test_parts_take_no_place_among_the_best():
    elsewhere = torch.tensor([[300.0, 300, 400, 400]])
    scores = torch.tensor([[0.9], [0.8], [0.6]])
    boxes = torch.cat([BOXES[:2], elsewhere])
    found, _, _ = select_detections(boxes, scores, 0.5, False, 2, NMS(inside=0.7))
    assert found.tolist() == [THING, *elsewhere.tolist()]


def test_a_part_is_kept_as_a_thing_of_another_class():
    boxes, _, ids = select_detections(BOXES, SCORES, 0.5, False, 10, NMS(inside=0.7))
    assert boxes[ids == 1].tolist() == [PART]
