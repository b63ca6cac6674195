"""Small random OWL models of the real classes, against their own text path."""

import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins.region_models import owl

import bindplug
from bindplug import BindplugError
from bindplug.bridge.text_cache import text_vectors
from bindplug.imagebind import TextConfig
from bindplug.transforms.text import transform_text
from bindplug_owl import OwlDetector

TEXTS = ["a photo of a cat", "a dog!", "x"]


@pytest.fixture(scope="module", params=["owlvit", "owlv2"])
def detector(request):
    model, processor = owl(request.param)
    return OwlDetector(model, processor, f"{request.param}-small", request.param)


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (60, 100, 3), np.uint8))


def test_a_texts_own_embedding_gives_the_hosts_own_answer(detector, picture):
    model, processor = detector.model, detector.processor
    c = model.config.text_config
    ids = transform_text(TEXTS, TextConfig(context_length=c.max_position_embeddings))
    x = processor(images=picture, return_tensors="pt")["pixel_values"]
    mask = (torch.arange(ids.shape[1]) <= ids.argmax(1, keepdim=True)).long()
    with torch.inference_mode():
        own = model(input_ids=ids, pixel_values=x, attention_mask=mask)
    [want] = processor.post_process_object_detection(own, 0.0, [(60, 100)])
    prompt = detector.embedder.embed(text=TEXTS)
    found = detector.detect(picture, prompt, threshold=0.0, top_k=1000)
    order = want["scores"].argsort(descending=True, stable=True)
    boxes = want["boxes"][order].numpy().clip(0, [100, 60, 100, 60])
    keep = (boxes[:, 2:] > boxes[:, :2]).all(1)
    assert len(found) == keep.sum() > 5
    assert np.abs(found.boxes - boxes[keep]).max() < 1e-3
    assert np.abs(found.scores - want["scores"][order].numpy()[keep]).max() < 1e-5
    assert found.metadata["bridge"] == "identity" and found.labels[0] in TEXTS


def test_boxes_lie_in_the_picture(detector, picture):
    prompt = detector.embedder.embed(text=TEXTS)
    for turned in (picture, picture.transpose(Image.Transpose.ROTATE_90)):
        found = detector.detect(turned, prompt, threshold=0.0)
        assert found.boxes.min() >= 0
        assert (found.boxes.max(0) <= [turned.width, turned.height] * 2).all()


def test_features_serve_many_prompts(detector, picture):
    seen = detector.features(picture)
    prompt = detector.embedder.embed(text=TEXTS)
    a, b = (detector.detect(i, prompt, threshold=0.0) for i in (seen, picture))
    assert np.array_equal(a.boxes, b.boxes) and np.array_equal(a.scores, b.scores)


def test_a_sound_crosses(detector, picture, media):
    cat = bindplug.load_embedder("small", "cpu").embed(audio=str(media / "cat.wav"))
    found = detector.detect(picture, cat, threshold=0.0)
    assert found.metadata["bridge"].startswith(f"vocabulary (small to {detector.space}")
    assert len(detector.detect(picture, cat, threshold=1.0)) == 0


def test_from_a_folder(tmp_path, picture):
    model, processor = owl("owlv2")
    model.save_pretrained(tmp_path / "m")
    processor.save_pretrained(tmp_path / "m")
    there = bindplug.load_detector("owl", f"local:{tmp_path / 'm'}", "cpu")
    prompt = there.embedder.embed(text="a dog")
    here = OwlDetector(model, processor, there.space)
    a, b = (d.detect(picture, prompt, threshold=0.0) for d in (there, here))
    assert np.array_equal(a.boxes, b.boxes)
    with torch.no_grad():  # other weights in the same place: nothing of the first ones is kept
        model.owlv2.text_projection.weight.mul_(-1)
    before = text_vectors(there.embedder, TEXTS)
    model.save_pretrained(tmp_path / "m")
    again = bindplug.load_detector("owl", f"local:{tmp_path / 'm'}", "cpu")
    assert again.fingerprint != there.fingerprint
    assert np.allclose(text_vectors(again.embedder, TEXTS), -before, atol=1e-5)
    with pytest.raises(BindplugError, match="no such folder"):
        bindplug.load_detector("owl", "local:absent", "cpu")
    (tmp_path / "m" / "config.json").write_text("{}")
    with pytest.raises(BindplugError, match="cannot be loaded as an OWL model"):
        bindplug.load_detector("owl", f"local:{tmp_path / 'm'}", "cpu")
    with pytest.raises(BindplugError, match="owlv2-base"):
        bindplug.load_detector("owl", "small", "cpu")
