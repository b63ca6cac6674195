import numpy as np
import pytest

from bindplug.detection.results import Detections
from bindplug.evaluation import average_precision, proposal_recall


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
