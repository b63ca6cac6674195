"""A small random Grounding DINO of the real class, against its own text path."""

import numpy as np
import pytest
import torch
from bindplug_gdino import GroundingDinoDetector
from PIL import Image
from stand_ins.region_models import WORDS, grounding_dino

import bindplug
from bindplug import BindplugError
from bindplug.embedding.vectors import Embedding


@pytest.fixture(scope="module")
def detector():
    return GroundingDinoDetector(*grounding_dino(), "made")


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (60, 100, 3), np.uint8))


def prompt(texts):
    return Embedding(np.eye(len(texts), 256), "small", "text", tuple(texts))


def test_a_text_gives_the_hosts_own_answer(detector, picture):
    model, processor = detector.model, detector.processor
    x = processor(images=picture, text="wild horse. cat.", return_tensors="pt")
    with torch.inference_mode():
        own = model(**x)
    logits = own.logits[0].sigmoid()  # [CLS] wild horse . cat . [SEP]
    assert x["input_ids"][0].tolist()[1:6] == [1054, 1052, 1012, 1050, 1012]
    want = torch.stack([logits[:, 1:3].amax(1), logits[:, 4]], dim=1)
    score, label = want.max(1)
    order = score.argsort(descending=True, stable=True)
    [host] = processor.post_process_grounded_object_detection(
        own, x["input_ids"], threshold=0.0, text_threshold=0.0, target_sizes=[(60, 100)]
    )
    found = detector.detect(picture, prompt(["wild horse", "Cat"]), threshold=0.0)
    assert len(found) == 20 and found.masks is None
    assert np.abs(found.scores - score[order].numpy()).max() < 1e-5
    boxes = host["boxes"].numpy()[order].clip(0, [100, 60, 100, 60])
    assert np.abs(found.boxes - boxes).max() < 1e-3
    assert found.class_ids.tolist() == label[order].tolist()
    assert found.labels[0] in ("wild horse", "Cat")


def test_a_sound_is_said_in_words(detector, picture, media):
    embedder = bindplug.load_embedder("small", "cpu")
    rooster = embedder.embed(audio=str(media / "rooster.wav"))
    found = detector.detect(picture, rooster, threshold=0.0, vocabulary=["rooster", "rain"])
    assert "rooster" in found.metadata["bridge"] and found.metadata["bridge"].startswith("words")
    same = detector.detect(picture, prompt(["rooster"]), threshold=0.0)
    assert np.allclose(found.boxes, same.boxes) and np.allclose(found.scores, same.scores)
    away = detector.detect(
        picture, rooster, threshold=0.0, vocabulary=["rooster", "rain"], negative=prompt(["grass"])
    )
    assert len(away) < len(found)


def test_refusals(detector, picture):
    with pytest.raises(BindplugError, match="only bridge to it is: words"):
        detector.detect(picture, prompt(["cat"]), bridge="linear")
    with pytest.raises(BindplugError, match="only competition"):
        detector.detect(picture, prompt(["cat"]), competition="prompts")
    with pytest.raises(BindplugError, match="give fewer prompts"):
        detector.detect(picture, prompt(["cat dog " * 4 + w for w in WORDS]))
    with pytest.raises(BindplugError, match="holds no word"):
        detector.detect(picture, prompt([" . "]))
    with pytest.raises(BindplugError, match="no such folder"):
        bindplug.load_detector("gdino", "local:absent", "cpu")


def test_from_a_folder(tmp_path, detector, picture):
    detector.model.save_pretrained(tmp_path)
    detector.processor.save_pretrained(tmp_path)
    there = bindplug.load_detector("gdino", f"local:{tmp_path}", "cpu")
    a, b = (d.detect(picture, prompt(["cat"]), threshold=0.0) for d in (there, detector))
    assert np.array_equal(a.boxes, b.boxes)
