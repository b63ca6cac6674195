from contextlib import suppress

import numpy as np
import pytest
import torch
from torch import nn

from bindplug import BindplugError
from bindplug.imagebind import AudioConfig, ImageBind, ImageBindConfig, TextConfig, VisionConfig
from bindplug.training import (
    Run,
    encode_with_fewer_tokens,
    fit,
    info_nce,
    mimetic_init,
    whitening_filters,
)
from bindplug.training.muon import orthogonalise


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = ImageBindConfig(
        embed_dim=16,
        vision=VisionConfig(width=32, depth=2, heads=2, image_size=32, patch_size=8),
        text=TextConfig(width=32, depth=2, heads=2, context_length=20, vocab_size=1024),
        audio=AudioConfig(width=32, depth=2, heads=2),
        depth=None,
        thermal=None,
        imu=None,
    )
    return ImageBind(config).eval()


def test_info_nce():
    a = torch.eye(4)
    assert info_nce(a, a, 50.0) < 1e-6
    assert torch.isclose(info_nce(a, torch.ones(4, 4), 50.0), torch.tensor(4.0).log())
    logits = 3 * torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    expected = (
        nn.functional.cross_entropy(logits, torch.arange(2))
        + nn.functional.cross_entropy(logits.T, torch.arange(2))
    ) / 2
    b = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert torch.isclose(info_nce(torch.tensor([[2.0, 0.0], [0.6, 0.8]]), b, 3.0), expected)


@torch.inference_mode()
def test_fewer_tokens(model):
    x = torch.randn(3, 3, 32, 32)
    g = torch.Generator().manual_seed(0)
    whole = model.features("vision", x)
    assert torch.allclose(encode_with_fewer_tokens(model, "vision", x, 1.0, g), whole)
    half = encode_with_fewer_tokens(model, "vision", x, 0.5, g)
    assert half.shape == whole.shape and not torch.allclose(half, whole)


def test_training_and_inference_attention_agree(model):
    attn = model.modality_trunks["audio"].blocks[0].attn  # with bias_kv
    x = torch.randn(2, 9, 32)
    with torch.no_grad():
        assert torch.allclose(attn.train()(x), attn.eval()(x), atol=1e-5)


def test_mimetic_init(model):
    trunk = model.modality_trunks["vision"]
    mimetic_init(trunk)
    attn = trunk.blocks[0].attn
    _, _, v = attn.in_proj_weight.detach().chunk(3)
    product = attn.out_proj.weight.detach() @ v
    assert -0.7 < product.diagonal().mean() < -0.1


def test_whitening_filters():
    x = torch.randn(5000, 12) @ torch.randn(12, 12)
    out = (x - x.mean(0)) @ whitening_filters(x, 8).T
    assert np.allclose(out.T @ out / len(out), np.eye(8), atol=0.05)
    assert whitening_filters(x, 20).shape == (20, 12)


def test_orthogonalise():
    for shape in ((3, 16, 40), (3, 40, 16)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.min() > 0.3 and values.max() < 1.3


def line(folder, steps, stop=None):
    """A small fit, interrupted at step `stop` by an exception."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss(step, g):
        if step == stop:
            raise KeyboardInterrupt
        x = torch.randn(16, 4, generator=g)
        return (model(x) - x.sum(1, keepdim=True)).square().mean()

    run = Run(folder, steps, lr=1e-2, muon_lr=None, warmup=5, save_seconds=0)
    try:
        fit(model, loss, run, "line")
    except KeyboardInterrupt:
        return None
    return model


def test_an_interrupted_run_ends_like_a_whole_one(tmp_path):
    whole = line(tmp_path / "a", 60)
    assert line(tmp_path / "b", 60, stop=33) is None
    resumed = line(tmp_path / "b", 60)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    curve = (tmp_path / "a" / "curve.csv").read_text().splitlines()
    assert curve[0] == "step,loss" and len(curve) == 2
    assert not list(tmp_path.rglob("*.part"))


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    def loss(step, g):
        return model(torch.randn(4, 3, generator=g)).square().mean()

    model = torch.nn.Linear(3, 1)
    fit(model, loss, Run(tmp_path, steps=2, muon_lr=None), "test")
    with pytest.raises(BindplugError, match="other settings"):
        fit(model, loss, Run(tmp_path, steps=3, muon_lr=None), "test")


def test_dropout_is_seeded_by_the_step(tmp_path):
    def run(name, stop=None):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.5))
        torch.rand(len(name))  # whatever was drawn before

        def loss(step, g):
            if step == stop:
                raise KeyboardInterrupt
            return model(torch.randn(4, 3, generator=g)).square().mean()

        settings = Run(tmp_path / name, steps=4, muon_lr=None, save_seconds=0)
        with suppress(KeyboardInterrupt):
            fit(model, loss, settings, name)
        return model[0].weight

    whole = run("whole")
    run("resumed", stop=2)
    assert torch.equal(run("resumed"), whole)
