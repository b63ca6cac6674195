"""Naming by labels and by examples."""

import numpy as np
import pytest

import bindplug
from bindplug import BindplugError, Embedding, SpaceMismatch
from bindplug.embedding.classifier import LinearProbe, ZeroShot, clip_templates, read_labels


@pytest.fixture(scope="module")
def small():
    return bindplug.load_embedder("small", "cpu")


def test_clips_templates():
    templates = clip_templates()
    assert len(templates) == 80 and "a photo of a {}." in templates
    assert all(t.count("{}") == 1 for t in templates)


def test_labels(tmp_path):
    assert read_labels("dog, cat") == {"dog": ["dog"], "cat": ["cat"]}
    path = tmp_path / "labels.txt"
    path.write_text("person: man | woman\n\npolice_car\nsea:\n")
    assert read_labels(str(path)) == {
        "person": ["man", "woman"], "police_car": ["police car"], "sea": ["sea"],
    }  # fmt: skip
    path.write_text("\ufeffdog\r\ncat\r\n", "utf-8")
    assert read_labels(str(path)) == {"dog": ["dog"], "cat": ["cat"]}
    path.write_bytes("dog\ncat\n".encode("utf-16"))
    assert list(read_labels(str(path))) == ["dog", "cat"]
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(BindplugError, match="save it as UTF-8"):
        read_labels(str(path))
    for text, words in ((" , ", "no labels"), ("dog,dog", "twice"), ("a,:b", "no name")):
        with pytest.raises(BindplugError, match=words):
            read_labels(text)


def test_zero_shot_hears_the_demo_sounds(small, media):
    classifier = ZeroShot(small, ["cat", "rooster", "rain"])
    sounds = small.embed(audio=[str(media / f"{n}.wav") for n in ("cat", "rooster", "rain")])
    p = classifier.probabilities(sounds)
    assert p.shape == (3, 3) and np.allclose(p.sum(1), 1)
    assert (p.argmax(1) == np.arange(3)).all()
    scale = small.logit_scale("text") * small.logit_scale("audio")
    ratio = np.log(p[0, 0] / p[0, 1]) / (classifier.scores(sounds)[0, :2] @ [1, -1])
    assert ratio == pytest.approx(scale, rel=1e-3)


def test_templates_and_labels_that_say_nothing(small):
    for labels, templates, words in (
        (["a"], ["a photo"], "has no {} for the name"),
        (["a"], "a photo", "has no {} for the name"),
        (["a", " "], None, "empty name"),
        ([], None, "no labels"),
        (["a"], [], "no templates"),
    ):
        with pytest.raises(BindplugError, match=words):
            ZeroShot(small, labels, templates)


def test_the_nearest_of_several_names_counts(small):
    both = ZeroShot(small, {"pet": ["dog", "cat"], "rain": ["rain"]}, templates=["a {}"])
    alone = ZeroShot(small, ["dog", "cat", "rain"], templates=["a {}"])
    query = small.embed(text=["cat", "dog", "storm"])
    scores = alone.scores(query)
    want = np.stack([scores[:, :2].max(1), scores[:, 2]], 1)
    assert np.allclose(both.scores(query), want)


def test_linear_probe_finds_the_least_loss():
    rng = np.random.default_rng(0)
    centres = np.eye(8)[:3]
    y = np.repeat(np.arange(3), 20)
    e = Embedding(centres[y] + rng.normal(size=(60, 8)) * 0.1, "s", "audio", ("x",) * 60)
    names = [f"class {i}" for i in y]
    probe = LinearProbe(e, names)
    assert (probe.probabilities(e).argmax(1) == y).all()
    x = (e.vectors - probe.mean.numpy()) / float(probe.scale)

    def loss(weight):
        logits = x @ weight + probe.bias
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        return -np.log(p[np.arange(60), y]).mean() + 1e-3 * (weight**2).sum()

    best = loss(probe.weight)
    for _ in range(20):
        assert loss(probe.weight + rng.normal(size=probe.weight.shape) * 0.01) > best
    with pytest.raises(BindplugError, match="two classes"):
        LinearProbe(e[:3], names[:3])
    with pytest.raises(BindplugError, match="60 examples have 59 labels"):
        LinearProbe(e, names[1:])
    with pytest.raises(SpaceMismatch):
        probe.scores(Embedding(np.eye(8), "t", "audio", ("x",) * 8))
