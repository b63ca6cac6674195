import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bindplug import BindplugError
from bindplug.training import info_nce
from bindplug.training.losses import (
    ContrastiveLoss,
    Temperature,
    positives_of,
    sigmoid_loss,
    soft_info_nce,
)


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return [F.normalize(torch.randn(6, 5), dim=-1) for _ in range(2)]


def test_pairs_alone_are_plain_infonce(pair):
    a, b = pair
    logits = 9.0 * a @ b.T
    expected = info_nce(a, b, 9.0)
    assert torch.isclose(soft_info_nce(logits), expected)
    assert torch.isclose(soft_info_nce(logits, torch.eye(6, dtype=torch.bool)), expected)
    loss = ContrastiveLoss(Temperature(1 / 9))
    assert torch.isclose(loss(a, b), expected)


def test_several_positives_by_hand(pair):
    a, b = pair
    labels = torch.tensor([0, 1, 0, 2, 1, 0])
    positives = positives_of(labels)
    logits = (7.0 * a @ b.T).double().numpy()
    total = 0.0
    for x in (logits, logits.T):
        for i in range(6):
            of = [j for j in range(6) if labels[j] == labels[i]]
            log_p = x[i] - np.log(np.exp(x[i]).sum())
            total -= np.mean(log_p[of]) / 6 / 2
    assert np.isclose(soft_info_nce(7.0 * a @ b.T, positives).item(), total, atol=1e-5)


def test_rows_of_one_label_attract_and_do_not_repel():
    labels = positives_of(torch.tensor([0, 0, 1, 1]))
    for positives, attracts in ((labels, True), (None, False)):
        logits = torch.zeros(4, 4, requires_grad=True)
        soft_info_nce(logits, positives).backward()
        assert (logits.grad[0, 1] < 0) == attracts  # a step along -grad raises the logit
        assert logits.grad[0, 2] > 0 > logits.grad[0, 0]


def test_sigmoid_loss_by_hand(pair):
    a, b = pair
    logits = (10.0 * a @ b.T - 10).double().numpy()
    total = 0.0
    for i in range(6):
        for j in range(6):
            z = 1 if i == j else -1
            total += np.log1p(np.exp(-z * logits[i, j])) / 6
    assert np.isclose(sigmoid_loss(10.0 * a @ b.T - 10).item(), total, atol=1e-5)
    loss = ContrastiveLoss(Temperature(0.1, is_learnt=True), is_sigmoid=True)
    assert np.isclose(loss(a, b).item(), total, atol=1e-5)


def test_no_two_rows_of_one_label():
    assert positives_of(torch.tensor([3, 1, 2])) is None


def test_a_learnt_temperature_stays_in_its_bounds(pair):
    loss = ContrastiveLoss(Temperature(0.07, True, 0.05, 0.1))
    assert torch.isclose(1 / loss.scale(), torch.tensor(0.07))
    with torch.no_grad():
        loss.log_scale.add_(3.0)
    loss.keep_in_bounds()
    assert torch.isclose(1 / loss.scale(), torch.tensor(0.05))
    loss(*pair).backward()
    assert loss.log_scale.grad != 0  # it can come back
    fixed = ContrastiveLoss(Temperature(0.07))
    assert not fixed.log_scale.requires_grad


@pytest.mark.parametrize("bad", [(0.0,), (0.07, True, 0.1, 1.0), (float("nan"),)])
def test_bad_temperatures(bad):
    with pytest.raises(BindplugError, match="temperature"):
        Temperature(*bad)
