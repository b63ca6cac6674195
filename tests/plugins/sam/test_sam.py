"""Small random SAM and SAM 2 models of the real classes, against their own pipeline."""

import numpy as np
import pytest
import torch
from bindplug_sam import SamMasker
from PIL import Image
from stand_ins.region_models import sam

import bindplug
from bindplug import BindplugError

BOXES = np.array([[5, 8, 60, 50], [30, 10, 95, 55], [0, 0, 20, 20]], dtype=np.float32)


@pytest.fixture(scope="module", params=["sam", "sam2"])
def masker(request):
    return SamMasker(*sam(request.param), request.param)


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (60, 100, 3), np.uint8))


def test_the_hosts_own_masks(masker, picture, monkeypatch):
    x = masker.processor(images=picture, input_boxes=[BOXES.tolist()], return_tensors="pt")
    sizes = [x.pop("original_sizes")]
    if "reshaped_input_sizes" in x:
        sizes.append(x.pop("reshaped_input_sizes"))
    with torch.inference_mode():
        own = masker.model(**x, multimask_output=False)
    [want] = masker.processor.image_processor.post_process_masks(own.pred_masks, *sizes)
    monkeypatch.setattr("bindplug_sam.masker.BATCH", 2)
    found = masker.masks(masker.encode_image(picture), picture, BOXES)
    assert found.shape == (3, 60, 100) and found.dtype == bool
    assert 0 < found.mean() < 1 and (found != want[:, 0].numpy()).mean() < 1e-3


def test_masks_for_any_detector(masker, media):
    detector = bindplug.load_detector("detic", "small", "cpu")
    prompt = bindplug.load_embedder("small", "cpu").embed(text="a dog")
    seen = detector.features(str(media / "garden.png"))
    before = detector.detect(seen, prompt, threshold=0.05)
    detector.masker = masker
    found = detector.detect(seen, prompt, threshold=0.05)
    assert np.array_equal(found.boxes, before.boxes) and len(found)
    assert not np.array_equal(found.masks, before.masks)
    want = masker.masks(masker.encode_image(seen.image), seen.image, found.boxes)
    assert np.array_equal(found.masks, want)
    none = detector.detect(seen, prompt, threshold=1.0)
    assert none.masks.shape == (0, 270, 360)


def test_from_a_folder(tmp_path, masker, picture):
    masker.model.save_pretrained(tmp_path)
    masker.processor.save_pretrained(tmp_path)
    there = bindplug.load_masker("sam", f"local:{tmp_path}", "cpu")
    a, b = (m.masks(m.encode_image(picture), picture, BOXES) for m in (there, masker))
    assert np.array_equal(a, b)
    with pytest.raises(BindplugError, match="no such folder"):
        bindplug.load_masker("sam", "local:absent", "cpu")
    with pytest.raises(BindplugError, match=r"no weights 'x'.*sam2\.1-tiny"):
        bindplug.load_masker("sam", "x", "cpu")
