"""Generated pictures judged by another model."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import bindplug
from bindplug import BindplugError
from bindplug.evaluation.images import evaluate_images

BOXES = {"dog": (146, 88, 201, 153), "cat": (200, 150, 290, 256)}  # in garden.png


@pytest.fixture
def painted(tmp_path, media):
    garden = Image.open(media / "garden.png").convert("RGB")
    for name, (x0, y0, x1, y1) in BOXES.items():
        for kind, spare in (("painted", 0), ("painted", 6), ("real", 3)):
            (tmp_path / kind / name).mkdir(parents=True, exist_ok=True)
            box = (x0 - spare, y0 - spare, x1 + spare, y1 + spare)
            garden.crop(box).save(tmp_path / kind / name / f"{spare}.png")
    for name in BOXES:
        (tmp_path / "sounds" / name).mkdir(parents=True)
        shutil.copy(media / f"{name}.wav", tmp_path / "sounds" / name)
    return tmp_path


def test_figures(painted):
    judge = bindplug.load_embedder("tiny-clip", "cpu")
    figures, errors = evaluate_images(judge, painted / "painted", painted / "real")
    assert not errors and figures["judge"] == "tiny-clip" and figures["files"] == 4
    assert figures["top-1"]["value"] >= 0.5
    assert figures["image similarity, own"] > figures["image similarity, other"]
    rows = {
        n: judge.embed(image=[str(painted / "painted" / n / f"{s}.png") for s in (0, 6)]).vectors
        for n in BOXES
    }
    want = 1 - np.mean([a @ b for a, b in rows.values()])
    assert figures["diversity"] == pytest.approx(want, abs=1e-3)


def test_sounds_and_circles(painted):
    tiny = bindplug.load_embedder("tiny", "cpu")
    figures, _ = evaluate_images(tiny, painted / "painted", sounds=painted / "sounds")
    assert figures["sound similarity, own"] > figures["sound similarity, other"]
    (painted / "painted" / "cat" / "0.json").write_text(json.dumps({"model": "tiny"}))
    with pytest.raises(BindplugError, match="cannot judge itself"):
        evaluate_images(tiny, painted / "painted")
    assert evaluate_images(tiny, painted / "painted", circular=True)[0]["judge"] == "tiny"
    other = bindplug.load_embedder("tiny-clip", "cpu")
    with pytest.raises(BindplugError, match="does not embed audio"):
        evaluate_images(other, painted / "painted", sounds=painted / "sounds")
    shutil.rmtree(painted / "sounds" / "cat")
    (painted / "sounds" / "dog").rename(painted / "sounds" / "boat")
    with pytest.raises(BindplugError, match="none of the classes"):
        evaluate_images(tiny, painted / "painted", sounds=painted / "sounds", circular=True)


@pytest.mark.parametrize("key", ["model", "space", "embedder_fingerprint"])
def test_a_judge_is_known_by_name_space_or_fingerprint(painted, key):
    tiny = bindplug.load_embedder("tiny", "cpu")
    tiny.space = "another space than its name"
    tiny.fingerprint = "abc float32"
    own = {"model": "mine", "space": tiny.space, "embedder_fingerprint": "abc bfloat16"}[key]
    (painted / "painted" / "cat" / "0.json").write_text(json.dumps({key: own}))
    with pytest.raises(BindplugError, match="cannot judge itself"):
        evaluate_images(tiny, painted / "painted", judge_name="mine")
    (painted / "painted" / "cat" / "0.json").write_text('["no recipe"]')
    evaluate_images(tiny, painted / "painted", judge_name="mine")


def test_a_recipe_with_a_model_name_is_compared_by_that_models_space(painted):
    from bindplug.models import huge

    tiny = bindplug.load_embedder("tiny", "cpu")
    tiny.space = huge.PLUGIN.space  # as a local copy of the released weights has it
    (painted / "painted" / "cat" / "0.json").write_text(json.dumps({"model": "imagebind-huge"}))
    with pytest.raises(BindplugError, match="'imagebind-huge', which cannot judge itself"):
        evaluate_images(tiny, painted / "painted")


def test_every_image_is_embedded_once(painted, monkeypatch):
    judge = bindplug.load_embedder("tiny-clip", "cpu")
    seen, stream = [], judge.stream

    def counted(modality, items, *args, **kwargs):
        seen.extend(items if modality == "image" else ())
        return stream(modality, items, *args, **kwargs)

    monkeypatch.setattr(judge, "stream", counted)
    evaluate_images(judge, painted / "painted")
    assert len(seen) == len(set(seen)) == 4


def test_one_class_has_no_other(painted):
    shutil.rmtree(painted / "painted" / "cat")
    shutil.rmtree(painted / "real" / "cat")
    judge = bindplug.load_embedder("tiny-clip", "cpu")
    figures, _ = evaluate_images(judge, painted / "painted", painted / "real")
    assert figures["image similarity, other"] is None
    json.dumps(figures, allow_nan=False)
