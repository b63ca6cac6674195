"""The adapter for a detectron2 Detic, on a stand-in with its attributes, kinds and habits."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from stand_ins.live_detic import CLASSES, WIDTH, Model
from torch import nn

import bindplug
from bindplug import BindplugError, Embedding, SpaceMismatch
from bindplug.bridge.vocabulary import read_vocabulary
from bindplug.detection.query import build_query
from bindplug_detic import patched


@pytest.fixture(params=["parameter", "buffer", "tensor"])
def model(request):
    torch.manual_seed(0)
    return Model(request.param).eval()


@pytest.fixture
def prompt():
    rng = np.random.default_rng(0)
    names = ("dog", "cat")
    return Embedding(rng.normal(size=(2, WIDTH)), "openai-clip-vit-b-32", "text", names)


def state_of(model):
    classifiers = [s.cls_score for s in model.roi_heads.box_predictor]
    return (
        [id(c.zs_weight) for c in classifiers],
        ["zs_weight" in c._parameters for c in classifiers],
        ["zs_weight" in c._buffers for c in classifiers],
        [s.test_score_thresh for s in model.roi_heads.box_predictor],
        model.roi_heads.num_classes,
        list(model.state_dict()),
    )


def test_it_is_detics_own_computation_and_is_restored(model, prompt):
    before, x = state_of(model), torch.randn(4, 16)
    with torch.no_grad():
        own = model(x)
        with patched(model, prompt, threshold=0.3) as taken:
            assert taken.labels == ("dog", "cat") and model.roi_heads.num_classes == 2
            assert [s.test_score_thresh for s in model.roi_heads.box_predictor] == [0.3] * 3
            found = model(x)
        stages = model.roi_heads.box_predictor
        features = [nn.functional.normalize(s.cls_score.linear(x), dim=1) for s in stages]
        want = torch.stack([50 * f @ torch.from_numpy(prompt.vectors).T for f in features])
        assert torch.allclose(found, want.mean(0).sigmoid(), atol=1e-6)
        assert torch.equal(model(x), own)
    assert state_of(model) == before


def test_restored_after_an_error(model, prompt):
    before = state_of(model)
    with pytest.raises(KeyError), patched(model, prompt):
        raise KeyError("the user's own")
    assert state_of(model) == before
    with patched(model, prompt):  # and it can be patched again
        pass


def test_nested_use_is_refused_and_changes_nothing(model, prompt):
    before = state_of(model)
    with patched(model, prompt):
        inside = state_of(model)
        with pytest.raises(BindplugError, match="patched already"), patched(model, prompt[0]):
            pass
        assert state_of(model) == inside
        with patched(Model("buffer"), prompt):  # another model is another matter
            pass
    assert state_of(model) == before


def test_what_is_refused(model, prompt):
    before = state_of(model)
    for thing in (nn.Linear(2, 2), object()):
        with pytest.raises(BindplugError, match="not a detectron2 Detic"), patched(thing, prompt):
            pass
    lost = Embedding(np.ones((1, 4)), "nowhere", "text", ("x",))
    with pytest.raises(SpaceMismatch, match="nowhere"), patched(model, lost):
        pass
    narrow = Embedding(np.ones((1, 4)), "openai-clip-vit-b-32", "text", ("x",))
    with pytest.raises(BindplugError, match="512-d"), patched(model, narrow):
        pass
    assert state_of(model) == before


def test_a_sound_crosses(model, prompt, media):
    small = bindplug.load_embedder("small", "cpu")
    cat = small.embed(audio=str(media / "cat.wav"))
    rng = np.random.default_rng(1)
    words = ["cat", "dog", "rain"]
    bridge = bindplug.bridge.VocabularyBridge(
        "small", "openai-clip-vit-b-32", words, small.embed(text=words).vectors,
        rng.normal(size=(3, WIDTH)),
    )  # fmt: skip
    with patched(model, cat, bridge=bridge) as taken:
        assert np.allclose(taken.vectors, bridge(cat).vectors)
        assert model(torch.randn(2, 16)).shape == (2, 1)


class Metadata(SimpleNamespace):
    """As detectron2's: attributes may be set once."""


@pytest.fixture
def predictor(model):
    metadata = Metadata(name="lvis", thing_classes=["old"] * CLASSES, thing_colors=[(0, 0, 0)])
    return SimpleNamespace(model=model, metadata=metadata)


def test_a_predictors_names_are_the_prompts_inside(predictor, prompt):
    before = predictor.metadata
    named = Embedding(prompt.vectors, prompt.space, "audio", ("sounds/dog.wav", "cat.flac"))
    with patched(predictor, named) as taken:
        assert taken.labels == ("dog", "cat")
        assert predictor.metadata.thing_classes == ["dog", "cat"]
        assert type(predictor.metadata) is Metadata
        assert not hasattr(predictor.metadata, "thing_colors")
    assert predictor.metadata is before
    demo = SimpleNamespace(predictor=predictor, metadata=before)
    with patched(demo, prompt):
        assert demo.metadata.thing_classes == ["dog", "cat"]
    with patched(nn.DataParallel(predictor.model), prompt):
        assert predictor.model.roi_heads.num_classes == 2


def test_an_embedding_without_rows_is_refused(model, prompt):
    before = state_of(model)
    with pytest.raises(BindplugError, match="without rows"), patched(model, prompt[[]]):
        pass
    assert state_of(model) == before


def test_prompts_compete_and_negatives_suppress_as_in_native_detection(model, prompt):
    query = build_query(prompt[:1], prompt.space, competition="prompts", negative=prompt[1:])
    x = torch.randn(5, 16)
    with torch.no_grad():
        stages = model.roi_heads.box_predictor
        logits = [
            50 * nn.functional.normalize(s.cls_score.linear(x), dim=1)
            @ torch.from_numpy(prompt.vectors).T
            for s in stages
        ]  # fmt: skip
        want = [query.suppress_negatives(query.to_probabilities(v)) for v in logits]
        with patched(model, prompt[:1], competition="prompts", negative=prompt[1:]):
            found = [s.cls_score(x)[:, :-1].sigmoid() for s in stages]
            assert model.roi_heads.num_classes == 1
        for a, b in zip(found, want, strict=True):
            assert torch.allclose(a, b, atol=2e-6)
    assert all("forward" not in s.cls_score.__dict__ for s in model.roi_heads.box_predictor)


def test_its_own_vocabulary_needs_no_text_encoder(model, media, monkeypatch):
    """A classifier of LVIS's 1,203 names gives the rows that a bridge needs."""
    monkeypatch.setattr("bindplug.models.load.embedder_of", None)  # would fail if called
    names = read_vocabulary("lvis")
    rows = torch.nn.functional.normalize(torch.randn(len(names), WIDTH), dim=1)
    weight = torch.cat([rows.T, torch.zeros(WIDTH, 1)], dim=1)
    for stage in model.roi_heads.box_predictor:
        del stage.cls_score.zs_weight
        stage.cls_score.zs_weight = weight
    small = bindplug.load_embedder("small", "cpu")
    with patched(model, small.embed(text="a cat")) as taken:
        assert names[int((rows.numpy() @ taken.vectors[0]).argmax())] == "cat"


def test_neither_it_nor_the_core_needs_timm(media):
    """In a process where timm cannot be imported."""
    code = """
import sys
sys.modules["timm"] = sys.modules["detectron2"] = None
import bindplug
from bindplug_detic import patched
from bindplug.bridge import Target, cross
embedding = bindplug.load_embedder("small", "cpu").embed(audio=sys.argv[1])
cross(embedding, Target("x", words=("cat", "dog"), word_rows=[[1.0, 0.0], [0.0, 1.0]]))
"""
    command = [sys.executable, "-c", code, str(media / "cat.wav")]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""
