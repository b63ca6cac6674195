"""evaluate detect and evaluate avs on small sets whose right answers are known."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

import bindplug
from bindplug import BindplugError, Detections
from bindplug.evaluation.avs import evaluate_avs, f_measures, mask_iou, read_clips, score_map
from bindplug.evaluation.boxes import evaluate_boxes


@pytest.fixture(scope="module")
def parts():
    return bindplug.load_detector("detic", "small", "cpu"), bindplug.load_embedder("small", "cpu")


@pytest.fixture
def coco(tmp_path, media):
    truth = {
        "images": [{"id": 7, "file_name": "farm.png", "width": 360, "height": 270}],
        "categories": [{"id": 30, "name": "rooster"}, {"id": 4, "name": "rain", "sound": "r.wav"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 30, "bbox": [157, 169, 83, 88],
             "area": 83 * 88, "iscrowd": 0},
        ],
    }  # fmt: skip
    shutil.copy(media / "rain.wav", tmp_path / "r.wav")
    (tmp_path / "sounds").mkdir()
    shutil.copy(media / "rooster.wav", tmp_path / "sounds" / "rooster.wav")
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    return path


def test_boxes(coco, parts, media, tmp_path):
    pytest.importorskip("pycocotools")
    figures, errors = evaluate_boxes(*parts, coco, media, tmp_path / "sounds")
    rooster = parts[1].embed(audio=str(media / "rooster.wav"))
    found = parts[0].detect(str(media / "farm.png"), rooster, threshold=0.02)
    overlap = box_iou(torch.tensor([[157, 169, 240, 257]]), torch.from_numpy(found.boxes)).max()
    recalled = np.mean(float(overlap) >= np.arange(0.5, 1, 0.05))
    assert figures["AP50"] == pytest.approx(1.0) and figures["AR"] == pytest.approx(recalled)
    assert not errors
    assert figures["categories"] == 2 and figures["competition"] == "words"
    both, _ = evaluate_boxes(*parts, coco, media, tmp_path / "sounds", competition="prompts")
    assert both["competition"] == "prompts" and 0 < both["AP50"] <= 1
    truth = json.loads(coco.read_text())
    truth["images"].append({"id": 8, "file_name": "absent.png", "width": 9, "height": 9})
    coco.write_text(json.dumps(truth))
    _, errors = evaluate_boxes(*parts, coco, media, tmp_path / "sounds")
    assert "absent.png" in str(errors[0])
    with pytest.raises(BindplugError, match="'rooster' has no sound"):
        evaluate_boxes(*parts, coco, media)
    (tmp_path / "mixed").mkdir()
    shutil.copy(media / "farm.png", tmp_path / "mixed" / "rooster.png")
    with pytest.raises(BindplugError, match="'rooster' has no sound"):  # its image is no sound
        evaluate_boxes(*parts, coco, media, tmp_path / "mixed")
    coco.write_text("\ufeff" + json.dumps({**truth, "categories": [], "annotations": []}), "utf-8")
    with pytest.raises(BindplugError, match="has no categories"):
        evaluate_boxes(*parts, coco, media)
    coco.write_text(json.dumps({**truth, "images": [{"id": 7}]}))
    with pytest.raises(BindplugError, match="entry 1 of images has no file_name"):
        evaluate_boxes(*parts, coco, media)
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(BindplugError, match="is not a COCO file"):
        evaluate_boxes(*parts, tmp_path / "bad.json")


def write(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def test_layouts_of_avsbench(tmp_path, media):
    single, multi = tmp_path / "s4_data", tmp_path / "ms3_data"
    for second in (1, 2):
        write(single / f"gt_masks/test/dog/abc/abc_{second}.png", np.zeros((4, 4)))
        write(single / f"visual_frames/test/dog/abc/abc_{second}.png", np.zeros((4, 4)))
        write(multi / f"gt_masks/test/xyz/xyz_{second}.png", np.zeros((4, 4)))
        write(multi / f"visual_frames/xyz/xyz.mp4_{second}.png", np.zeros((4, 4)))
    for sound in (single / "audio_wav/test/dog/abc.wav", multi / "audio_wav/test/xyz.wav"):
        sound.parent.mkdir(parents=True)
        shutil.copy(media / "dog.wav", sound)
    [clip] = read_clips(single)
    assert clip.sound.name == "abc.wav" and [f[0] for f in clip.frames] == [1, 2]
    [clip] = read_clips(multi)
    assert clip.frames[1][1].name == "xyz.mp4_2.png"
    with pytest.raises(BindplugError, match="gt_masks/val"):
        read_clips(single, "val")
    (multi / "audio_wav/test/xyz.wav").unlink()
    with pytest.raises(BindplugError, match="no such sound"):
        read_clips(multi)


def test_segmentation(tmp_path, parts, media):
    root = tmp_path / "s4_data"
    (root / "audio_wav/test/rooster").mkdir(parents=True)
    shutil.copy(media / "rooster.wav", root / "audio_wav/test/rooster/v.wav")
    detector, embedder = parts
    farm, rooster = str(media / "farm.png"), embedder.embed(audio=str(media / "rooster.wav"))
    between = float(detector.detect(farm, rooster, threshold=0.02).scores[:2].mean())
    own = detector.detect(farm, rooster, threshold=between)
    assert len(own) == 1
    write(root / "gt_masks/test/rooster/v/v_1.png", own.masks[0])
    (root / "visual_frames/test/rooster/v").mkdir(parents=True)
    shutil.copy(media / "farm.png", root / "visual_frames/test/rooster/v/v_1.png")
    figures, errors = evaluate_avs(*parts, root, threshold=between, seconds=None)
    assert not errors and figures["frames"] == 1
    assert figures["mIoU"] > 0.99 and figures["F"] > 0.99
    half, _ = evaluate_avs(*parts, root, threshold=1.0)
    assert half["mIoU"] == 0


def test_iou_where_nothing_sounds():
    none, some = np.zeros((4, 5), bool), np.zeros((4, 5), bool)
    some[:2] = True
    assert mask_iou(none, none) == 1 and mask_iou(some, none) == 0.5
    assert mask_iou(some, some) == 1 and mask_iou(none, some) == 0


def test_f_by_its_formula():
    rng = np.random.default_rng(0)
    soft = rng.random((20, 30)).astype(np.float32)
    soft[:5] = 0
    truth = rng.random((20, 30)) < soft
    want = []
    for level in np.linspace(0, 1 - 1e-10, 255):
        found = soft >= level
        hit = (found & truth).sum()
        p, r = hit / (found.sum() + 1e-20), hit / (truth.sum() + 1e-20)
        want.append(1.3 * p * r / (0.3 * p + r) if p + r else 0)
    assert np.allclose(f_measures(soft, truth), want)


def test_score_map_takes_the_best():
    masks = np.zeros((2, 4, 6), bool)
    masks[0, :2], masks[1] = True, True
    found = Detections(np.zeros((2, 4)), np.array([0.9, 0.4]), np.zeros(2, int), masks, 4, 6)
    assert np.allclose(score_map(found, (4, 6))[:, 0], [0.9, 0.9, 0.4, 0.4])
    assert score_map(found, (8, 12)).shape == (8, 12)
    boxes = np.array([[1, 0, 3, 2], [0, 0, 6, 4]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.4]), np.zeros(2, int), None, 4, 6)
    assert score_map(found, (4, 6))[0].tolist() == pytest.approx([0.4, 0.9, 0.9, 0.4, 0.4, 0.4])
