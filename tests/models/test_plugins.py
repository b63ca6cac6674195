"""Conformance: what every registered embedder, detector and generator must do."""

import numpy as np
import pytest
from PIL import Image

import bindplug
from bindplug import BindplugError, Embedding, SpaceMismatch
from bindplug.bridge import fit_bridge
from bindplug.device import pick_device
from bindplug.models.registry import discover, plugin

FOUND = {name: plugin("bindplug.embedders", name) for name in discover("bindplug.embedders")}
# Those that are fetched first have tests of their own.
EMBEDDERS = [name for name, found in FOUND.items() if not (found.checkpoints or found.hub)]
DETECTORS = [
    (name, w)
    for name in discover("bindplug.detectors")
    for w in plugin("bindplug.detectors", name).weights
]
GENERATORS = [
    (name, w)
    for name in discover("bindplug.generators")
    for w in plugin("bindplug.generators", name).weights
]


def test_the_in_tree_plugins_are_found():
    assert {"small", "small-clip"} <= set(EMBEDDERS)
    assert ("detic", "small") in DETECTORS
    assert ("unclip", "small") in GENERATORS


def test_plugins_can_be_restricted(monkeypatch):
    monkeypatch.setenv("BINDPLUG_PLUGINS", "small")
    assert list(discover("bindplug.embedders")) == ["small"]
    assert discover("bindplug.detectors") == {}
    with pytest.raises(BindplugError, match="none is installed"):
        bindplug.load_detector("detic")


@pytest.fixture(scope="module", params=[*EMBEDDERS, "imagebind"])
def embedder(request, imagebind_folder):
    name = f"local:{imagebind_folder}" if request.param == "imagebind" else request.param
    return bindplug.load_embedder(name, "cpu")


SAMPLES = {
    "text": ["a dog", "the sea at night", "a dog"],
    "image": [
        Image.new("RGB", (80, 50), "red"),
        np.full((30, 40, 3), 200, np.uint8),
        Image.new("RGB", (80, 50), "red"),
    ],
    "audio": [
        (np.sin(np.arange(20_000) / 9).astype(np.float32), 16_000),
        (np.random.default_rng(0).normal(size=(2, 44_100)).astype(np.float32) * 0.1, 44_100),
        (np.sin(np.arange(20_000) / 9).astype(np.float32), 16_000),
    ],
}


def test_embedder(embedder, make_video):
    samples = {**SAMPLES, "video": [make_video("red"), make_video("blue"), make_video("red")]}
    for modality in sorted({*samples} & {*embedder.modalities}):
        out = embedder.embed(**{modality: samples[modality]})
        assert out.space == embedder.space and out.modality == modality and len(out.labels) == 3
        assert out.vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(out.vectors, axis=1), 1, atol=1e-5)
        assert np.allclose(out.vectors[0], out.vectors[2], atol=1e-6)
        assert not np.allclose(out.vectors[0], out.vectors[1], atol=1e-3)
        alone = embedder.embed(**{modality: samples[modality][1]})
        assert np.allclose(alone.vectors[0], out.vectors[1], atol=1e-5), "depends on the batch"


def test_embedder_refuses(embedder):
    with pytest.raises(BindplugError, match="one modality"):
        embedder.embed(text="a", image=SAMPLES["image"][0])
    with pytest.raises(BindplugError, match="one modality"):
        embedder.embed()
    with pytest.raises(BindplugError, match="does not embed smell"):
        embedder.embed(smell="rose")
    with pytest.raises(BindplugError, match="no text"):
        embedder.embed(text=[])
    with pytest.raises(BindplugError, match="string"):
        embedder.embed(text=[3])


@pytest.mark.parametrize(("name", "weights"), DETECTORS)
def test_detector(name, weights, media):
    detector = bindplug.load_detector(name, weights, "cpu")
    embedder = bindplug.load_embedder("small", "cpu")
    prompt = embedder.embed(text=["a dog", "a cat"])
    found = detector.detect(str(media / "garden.png"), prompt, threshold=0.05)
    assert found.boxes.shape == (len(found), 4) and found.masks.shape[1:] == (270, 360)
    assert found.masks.dtype == bool and (np.diff(found.scores) <= 0).all()
    assert set(found.labels) <= {"a dog", "a cat"} and len(found)
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert found.boxes.min() >= 0 and (found.boxes.max(0) <= [360, 270, 360, 270]).all()
    assert found.metadata["bridge"].startswith("vocabulary")
    again = detector.detect(str(media / "garden.png"), prompt, threshold=0.05)
    assert np.array_equal(found.boxes, again.boxes) and np.array_equal(found.scores, again.scores)
    none = detector.detect(str(media / "garden.png"), prompt, threshold=1.0)
    assert len(none) == 0
    lost = Embedding(np.ones((1, 7)), "nowhere", "audio", ("x",))
    with pytest.raises(SpaceMismatch, match="nowhere"):
        detector.detect(str(media / "garden.png"), lost)


@pytest.mark.parametrize(("name", "weights"), DETECTORS)
def test_detector_takes_its_own_space_without_a_bridge(name, weights, media):
    detector = bindplug.load_detector(name, weights, "cpu")
    own = bindplug.models.load.embedder_of(detector.space).embed(text="a dog")
    found = detector.detect(Image.open(media / "garden.png"), own, threshold=0.05)
    assert found.metadata["bridge"] == "identity"
    linear = fit_bridge("linear", "small", detector.space)
    prompt = bindplug.load_embedder("small", "cpu").embed(text="a dog")
    found = detector.detect(Image.open(media / "garden.png"), prompt, 0.05, bridge=linear)
    assert found.metadata["bridge"].startswith("linear")


@pytest.mark.parametrize(("name", "weights"), GENERATORS)
def test_generator(name, weights):
    generator = bindplug.load_generator(name, weights, "cpu")
    prompt = bindplug.load_embedder("small", "cpu").embed(text=["a dog", "rain"])
    two = generator.generate(prompt, num_images=2, seed=3, steps=2)
    assert len(two) == 4 and two[0].size == (generator.size, generator.size)
    pixels = [np.asarray(p) for p in two]
    assert not np.array_equal(pixels[0], pixels[1]) and not np.array_equal(pixels[0], pixels[2])
    again = generator.generate(prompt[1], num_images=1, seed=4, steps=2)
    assert np.array_equal(np.asarray(again[0]), pixels[3]), "seed + i makes picture i"
    with pytest.raises(BindplugError, match="num_images"):
        generator.generate(prompt, num_images=0)
    with pytest.raises(BindplugError, match="multiple of 8"):
        generator.generate(prompt, height=30)


def test_names_that_are_not_there():
    with pytest.raises(BindplugError, match=r"no embedder 'nobody'; there are: .*small"):
        bindplug.load_embedder("nobody")
    with pytest.raises(BindplugError, match="local:"):
        bindplug.load_embedder("some/where.pth")
    with pytest.raises(BindplugError, match="no such checkpoint"):
        bindplug.load_embedder("local:some/where.pth")
    with pytest.raises(BindplugError, match=r"no weights 'huge'.*small"):
        bindplug.load_detector("detic", "huge")
    with pytest.raises(BindplugError, match="local:"):
        bindplug.load_detector("detic", "a/b.pth")
    with pytest.raises(BindplugError, match="no such checkpoint"):
        bindplug.load_detector("detic", "local:a/b.pth", "cpu")
    with pytest.raises(BindplugError, match="no generator"):
        bindplug.load_generator("painter")
    with pytest.raises(BindplugError, match="model_index"):
        bindplug.load_generator("unclip", "local:a", "cpu")
    with pytest.raises(BindplugError, match="device 'abacus'"):
        pick_device("abacus")


def test_a_bridge_does_not_fetch_gigabytes_by_itself():
    lost = Embedding(np.ones((1, 1024)), "openclip-vit-h-14/laion2b", "audio", ("x",))
    with pytest.raises(SpaceMismatch, match="models pull imagebind-huge"):
        bindplug.bridge.cross(lost, "small")


def test_one_embedder_of_a_space_whatever_its_device_is_called():
    embedder_of = bindplug.models.load.embedder_of
    embedder_of.cache_clear()
    here = bindplug.device.pick_device()
    assert embedder_of("small") is embedder_of("small", "auto") is embedder_of("small", here)
    with pytest.raises(bindplug.BindplugError, match="abacus"):
        embedder_of("small", "abacus")
