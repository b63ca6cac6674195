"""What Detic refuses, and what it accepts of checkpoints."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bindplug import BindplugError
from bindplug.errors import MissingDependency
from bindplug_detic import Detic
from bindplug_detic.detector import HERE, load


@pytest.fixture(scope="module")
def path(golden):
    return golden / "detic" / "tinyswin_model.pth"


@pytest.fixture
def state(path):
    return torch.load(path, weights_only=True)["model"]


@pytest.fixture(scope="module")
def model(path):
    return Detic.from_checkpoint(path)


def test_the_files_own_vocabulary_is_the_classifier(model, state):
    zs = state["roi_heads.box_predictor.0.cls_score.zs_weight"]
    assert model.classifier.shape == (512, 20)
    assert torch.allclose(model.classifier, torch.nn.functional.normalize(zs[:, :-1], dim=0))


def test_containers_that_hold_the_same_model(state, tmp_path, model):
    bare = {f"module.{k}": v for k, v in state.items()}
    torch.save(bare, tmp_path / "bare.pth")
    state["roi_heads.box_predictor.0.freq_weight"] = torch.ones(3)
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "x.safetensors")
    for name in ("bare.pth", "x.safetensors"):
        again = Detic.from_checkpoint(tmp_path / name).state_dict()
        for key, value in model.state_dict().items():
            assert torch.equal(value, again[key]), key


def test_the_first_wrong_key_is_named(state, tmp_path):
    key = "roi_heads.mask_head.predictor.weight"
    for change, words in (
        (lambda s: s.pop(key), "no tensor 'roi_heads.mask_head.predictor.weight'"),
        (lambda s: s.update({key: torch.zeros(2, 2)}), r"shape \(2, 2\)"),
        (lambda s: s.pop("backbone.fpn_output3.weight"), "backbone.fpn_output3.weight"),
    ):
        broken = dict(state)
        change(broken)
        torch.save({"model": broken}, tmp_path / "x.pth")
        with pytest.raises(BindplugError, match=words):
            Detic.from_checkpoint(tmp_path / "x.pth")
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "x.pth")
    with pytest.raises(BindplugError, match="not a Detic"):
        Detic.from_checkpoint(tmp_path / "x.pth")


def test_nothing_is_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    torch.save({"model": Evil()}, tmp_path / "x.pth")
    with pytest.raises(BindplugError, match="cannot be read as weights"):
        Detic.from_checkpoint(tmp_path / "x.pth")
    assert not (tmp_path / "touched").exists()


def test_classifier(model):
    for rows in (np.ones((3, 128)), np.ones(512), np.ones((0, 512))):
        with pytest.raises(BindplugError, match="rows of 512"):
            model.set_classifier(rows)
    with pytest.raises(BindplugError, match="NaN"):
        model.set_classifier(np.full((1, 512), np.nan))


def test_picture(model):
    for picture in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(BindplugError, match="BGR"):
            model.predict(picture)


def test_lengths_of_classifier_rows_do_not_matter(model):
    rng = np.random.default_rng(0)
    rows, picture = rng.normal(size=(2, 512)), rng.integers(0, 255, (60, 80, 3)).astype(np.uint8)
    model.set_classifier(rows)
    first = model.predict(picture, score_threshold=0.1, short_side=250)
    model.set_classifier(torch.from_numpy(rows * 7))
    second = model.predict(picture, score_threshold=0.1, short_side=250)
    assert len(first) and np.allclose(first.scores, second.scores, atol=1e-5)


def test_a_folder_of_ones_own(tmp_path):
    shutil.copytree(HERE / "small", tmp_path / "mine")
    config = tmp_path / "mine" / "config.json"
    metadata = json.loads(config.read_text())
    config.write_text(json.dumps({**metadata, "threshold": 0.4, "short_side": 64}))
    detector = load(f"local:{tmp_path / 'mine'}", "cpu")
    assert (detector.space, detector.short_side, detector.score_threshold) == (
        "small-clip",
        64,
        0.4,
    )
    config.write_text(json.dumps({**metadata, "nms_inside": 70}))
    with pytest.raises(BindplugError, match=r"config.json.*nms_inside is 70.0; give a number"):
        load(f"local:{tmp_path / 'mine'}", "cpu")
    config.write_text("{}")
    with pytest.raises(BindplugError, match=r"config.json.*no 'space'"):
        load(f"local:{tmp_path / 'mine'}", "cpu")
    config.unlink()
    with pytest.raises(BindplugError, match=r"config.json"):
        load(f"local:{tmp_path / 'mine'}", "cpu")


def test_the_classifier_moves_along_and_is_in_no_state_dict():
    model = Detic.from_checkpoint(HERE / "small" / "model.safetensors")
    model.set_classifier(np.eye(2, model.config.embed_dim, dtype=np.float32))
    assert "classifier" in dict(model.named_buffers()) and "classifier" not in model.state_dict()
    assert model.to("meta").classifier.device.type == "meta"


def test_an_old_timm_is_named(monkeypatch):
    monkeypatch.setattr("bindplug_detic.backbone.version", lambda name: "0.5.4")
    with pytest.raises(MissingDependency, match=r"timm 1.0 or later, here is 0\.5\.4"):
        Detic.from_checkpoint(HERE / "small" / "model.safetensors")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_classifier_stays_float32(path, dtype):
    cast = Detic.from_checkpoint(path).to(dtype)
    whole = Detic.from_checkpoint(path)
    assert cast.classifier.dtype == torch.float32
    assert torch.equal(cast.classifier, whole.classifier)


def test_a_threshold_out_of_range(model):
    with pytest.raises(BindplugError, match="score_threshold 7; give a number from 0 to 1"):
        model.predict(np.zeros((64, 64, 3), np.uint8), score_threshold=7)
