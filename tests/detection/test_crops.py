"""Boxes asked about by the embedder's own image trunk."""

import numpy as np
import pytest
from PIL import Image

import bindplug
from bindplug import BindplugError, Embedding
from bindplug.detection.crops import BOXES, Crops, cut_out
from bindplug.detection.detector import PromptedDetector, Proposals


class Boxes(PromptedDetector):
    """Proposes what it is told to."""

    name, score_threshold = "boxes", 0.1

    def __init__(self, boxes):
        self.boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)

    def encode_images(self, images):
        return images

    def propose(self, seen, size):
        return Proposals(self.boxes, np.full(len(self.boxes), 0.9, np.float32))


@pytest.fixture
def small():
    return bindplug.load_embedder("small", "cpu")


GARDEN = [[0, 0, 360, 270], [20, 120, 150, 255], [197, 150, 293, 256], [300, 10, 340, 40]]


def test_the_image_trunk_picks_the_box(small, media):
    dog = small.embed(audio=str(media / "dog.wav"))
    for contrast in ("none", "words"):
        found = Boxes(GARDEN).detect(
            str(media / "garden.png"), dog, threshold=0.0, bridge="crops", competition=contrast
        )
        assert len(found) == 3 and found.masks is None  # the one of the whole picture is left out
        assert found.boxes[0].tolist() == GARDEN[1], contrast
        assert found.metadata["bridge"] == "crops" and found.metadata["competition"] == contrast
    none = Boxes([]).detect(str(media / "garden.png"), dog, bridge="crops")
    assert len(none) == 0


def test_contrast_none_is_a_softmax_over_the_boxes(small, media):
    cat = small.embed(audio=str(media / "cat.wav"))
    picture = Image.open(media / "garden.png").convert("RGB")
    cut = small.embed(image=[picture.crop(tuple(b)) for b in GARDEN[1:]])
    logits = cut.vectors @ cat.vectors[0] / 0.05
    want = np.exp(logits) / np.exp(logits).sum()
    found = Boxes(GARDEN).detect(picture, cat, threshold=0.0, bridge="crops", competition="none")
    assert np.allclose(found.scores, np.sort(want)[::-1], atol=1e-4)


def test_at_most_so_many_boxes(small, media, monkeypatch):
    seen = []
    monkeypatch.setattr("bindplug.detection.crops.cut_out", lambda p, b, m: seen.append(b) or p)
    many = [[i, i, i + 20, i + 20] for i in range(BOXES + 30)]
    Boxes(many).detect(str(media / "garden.png"), small.embed(text="x"), bridge="crops")
    assert len(seen) == BOXES


def test_the_background_is_blanked():
    picture = Image.new("RGB", (40, 30), "red")
    mask = np.zeros((30, 40), bool)
    mask[10:20, 10:20] = True
    cut = np.asarray(cut_out(picture, np.array([5.2, 5.0, 24.6, 25.0]), mask))
    assert cut.shape == (20, 20, 3)
    assert cut[8, 8].tolist() == [255, 0, 0] and cut[0, 0].tolist() == [127, 127, 127]
    assert np.asarray(cut_out(picture, np.array([3, 3, 3, 3]), None)).shape == (1, 1, 3)


def test_refusals(small, media):
    own, blind = bindplug.load_embedder("small-clip", "cpu"), Boxes([])
    blind.propose = super(Boxes, blind).propose
    with pytest.raises(BindplugError, match="no proposals without a prompt"):
        blind.detect(str(media / "garden.png"), own.embed(text="x"), bridge="crops")
    with pytest.raises(BindplugError, match="has the space 'lost'"):
        Crops(Embedding(np.eye(1, 4), "lost", "audio", ("x",)))


def test_with_the_real_detector(small, media):
    detector = bindplug.load_detector("detic", "small", "cpu")
    cat = small.embed(audio=str(media / "cat.wav"))
    found = detector.detect(str(media / "garden.png"), cat, bridge="crops")
    x0, y0, x1, y1 = found.boxes[0]
    assert 220 < (x0 + x1) / 2 < 270 and 180 < (y0 + y1) / 2 < 230
    assert found.masks.shape == (len(found), 270, 360) and found.masks[0].any()
