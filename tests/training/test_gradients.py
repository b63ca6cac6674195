"""GradCache, several processes, and one big batch give the same gradients."""

from pathlib import Path

import pytest
import torch

from bindplug.models.towers.build import make_tower
from bindplug.models.towers.spec import parse_tower
from bindplug.training.binder import Binder
from bindplug.training.gradients import backward
from bindplug.training.losses import ContrastiveLoss, Temperature
from bindplug.training.processes import Processes

ROWS = 8


def make_binder(sigmoid=False, seed=0):
    torch.manual_seed(seed)
    sizes = "width=32,depth=2,heads=2"
    towers = {
        "image": make_tower(parse_tower(f"image=imagebind:{sizes},image_size=28"), 16, None),
        "audio": make_tower(parse_tower(f"audio=imagebind:{sizes}"), 16, None, head="mlp"),
    }
    loss = ContrastiveLoss(Temperature(0.2, is_learnt=True), sigmoid)
    return Binder(towers, {"audio": loss})


def batch_of(rows):
    g = torch.Generator().manual_seed(1)
    return {
        "image": torch.randn(rows, 3, 28, 28, generator=g),
        "audio": torch.randn(rows, 1, 128, 204, generator=g),
    }


def gradients_of(binder, batch, chunks=1, processes=None, learnt=False, train=False):
    binder.train(train)
    towers = [p for p in binder.towers.parameters() if p.requires_grad]
    loss, _ = backward(
        lambda part: binder.embed(part, set()), batch, lambda e: binder.loss(e, None),
        list(binder.losses.parameters()), towers, chunks, processes, seed=5,
    )  # fmt: skip
    return loss, {n: p.grad for n, p in binder.named_parameters() if p.grad is not None}


def plain(binder, batch):
    """The whole batch by autograd alone."""
    binder.eval()
    loss = binder.loss(binder.embed(batch, set()), None)
    loss.backward()
    return loss.item(), {n: p.grad for n, p in binder.named_parameters() if p.grad is not None}


def assert_same(found, expected):
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    assert found[1].keys() == expected[1].keys()
    for name, grad in expected[1].items():
        assert torch.allclose(found[1][name], grad, atol=1e-5), name


@pytest.mark.parametrize("chunks", [1, 2, 3, 8, 50])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_gradcache_equals_the_big_batch(chunks, sigmoid):
    expected = plain(make_binder(sigmoid), batch_of(ROWS))
    assert "losses.audio.log_scale" in expected[1]
    assert_same(gradients_of(make_binder(sigmoid), batch_of(ROWS), chunks), expected)


def test_a_chunk_draws_the_same_dropout_twice():
    """Else the embeddings that the loss saw are not those that its gradient goes back through: the
    gradient would not be that of the loss of any fixed masks."""
    seen = []

    def embed(part):
        mask = torch.rand(3)
        seen.append(mask)
        return {"a": part["a"] * weight * mask, "b": part["b"] * mask}

    weight = torch.ones(3, requires_grad=True)
    batch = {m: torch.randn(4, 3) for m in "ab"}
    backward(embed, batch, lambda e: (e["a"] * e["b"]).sum(), [], [weight], chunks=2)
    first, second, *again = seen
    assert torch.equal(first, again[0]) and torch.equal(second, again[1])
    assert not torch.equal(first, second)


def test_features_that_need_no_gradient(world):
    binder = make_binder()
    binder.towers["image"].is_frozen = True
    binder.towers["image"].requires_grad_(False)
    _, grads = gradients_of(binder, batch_of(ROWS), 2)
    assert not any(n.startswith("towers.image") for n in grads)


@pytest.mark.parametrize("chunks", [1, 2])
def test_two_processes_equal_one(tmp_path, chunks, run_twice):
    out = tmp_path / "grads.pt"
    run_twice(str(Path(__file__).with_name("two_processes.py")), str(out), str(chunks))
    found = torch.load(out, weights_only=True)
    assert_same((found.pop("loss"), found), plain(make_binder(), batch_of(ROWS)))


def test_shares_of_a_batch():
    shares = [Processes(rank, 4).share(12) for rank in range(4)]
    assert [(s.start, s.stop) for s in shares] == [(0, 3), (3, 6), (6, 9), (9, 12)]
