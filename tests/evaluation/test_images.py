"""Generated pictures judged by another model."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import bindplug
from bindplug import BindplugError
from bindplug.evaluation.images import evaluate_images

BOXES = {"horse": (22, 100, 165, 224), "rooster": (157, 169, 240, 257)}  # in farm.png


@pytest.fixture
def painted(tmp_path, media):
    farm = Image.open(media / "farm.png").convert("RGB")
    for name, (x0, y0, x1, y1) in BOXES.items():
        for kind, spare in (("painted", 0), ("painted", 6), ("real", 3)):
            (tmp_path / kind / name).mkdir(parents=True, exist_ok=True)
            box = (x0 - spare, y0 - spare, x1 + spare, y1 + spare)
            farm.crop(box).save(tmp_path / kind / name / f"{spare}.png")
    for name in BOXES:
        (tmp_path / "sounds" / name).mkdir(parents=True)
        shutil.copy(media / f"{name}.wav", tmp_path / "sounds" / name)
    return tmp_path


def test_figures(painted):
    judge = bindplug.load_embedder("small-clip", "cpu")
    figures, errors = evaluate_images(judge, painted / "painted", painted / "real")
    assert not errors and figures["judge"] == "small-clip" and figures["files"] == 4
    assert figures["top-1"]["value"] >= 0.75
    assert figures["image similarity, own"] > figures["image similarity, other"]
    rows = {
        n: judge.embed(image=[str(painted / "painted" / n / f"{s}.png") for s in (0, 6)]).vectors
        for n in BOXES
    }
    want = 1 - np.mean([a @ b for a, b in rows.values()])
    assert figures["diversity"] == pytest.approx(want, abs=1e-3)


def test_sounds_and_circles(painted):
    small = bindplug.load_embedder("small", "cpu")
    figures, _ = evaluate_images(small, painted / "painted", sounds=painted / "sounds")
    assert figures["sound similarity, own"] > figures["sound similarity, other"]
    (painted / "painted" / "rooster" / "0.json").write_text(json.dumps({"model": "small"}))
    with pytest.raises(BindplugError, match="cannot judge itself"):
        evaluate_images(small, painted / "painted")
    assert evaluate_images(small, painted / "painted", circular=True)[0]["judge"] == "small"
    other = bindplug.load_embedder("small-clip", "cpu")
    with pytest.raises(BindplugError, match="does not embed audio"):
        evaluate_images(other, painted / "painted", sounds=painted / "sounds")
    shutil.rmtree(painted / "sounds" / "rooster")
    (painted / "sounds" / "horse").rename(painted / "sounds" / "boat")
    with pytest.raises(BindplugError, match="none of the classes"):
        evaluate_images(small, painted / "painted", sounds=painted / "sounds", circular=True)


@pytest.mark.parametrize("key", ["model", "space", "embedder_fingerprint"])
def test_a_judge_is_known_by_name_space_or_fingerprint(painted, key):
    small = bindplug.load_embedder("small", "cpu")
    small.space = "another space than its name"
    small.fingerprint = "abc float32"
    own = {"model": "mine", "space": small.space, "embedder_fingerprint": "abc bfloat16"}[key]
    (painted / "painted" / "rooster" / "0.json").write_text(json.dumps({key: own}))
    with pytest.raises(BindplugError, match="cannot judge itself"):
        evaluate_images(small, painted / "painted", judge_name="mine")
    (painted / "painted" / "rooster" / "0.json").write_text('["no recipe"]')
    evaluate_images(small, painted / "painted", judge_name="mine")


def test_a_recipe_with_a_model_name_is_compared_by_that_models_space(painted):
    from bindplug.models import huge

    small = bindplug.load_embedder("small", "cpu")
    small.space = huge.PLUGIN.space  # as a local copy of the released weights has it
    (painted / "painted" / "rooster" / "0.json").write_text(json.dumps({"model": "imagebind-huge"}))
    with pytest.raises(BindplugError, match="'imagebind-huge', which cannot judge itself"):
        evaluate_images(small, painted / "painted")


def test_every_image_is_embedded_once(painted, monkeypatch):
    judge = bindplug.load_embedder("small-clip", "cpu")
    seen, stream = [], judge.stream

    def counted(modality, items, *args, **kwargs):
        seen.extend(items if modality == "image" else ())
        return stream(modality, items, *args, **kwargs)

    monkeypatch.setattr(judge, "stream", counted)
    evaluate_images(judge, painted / "painted")
    assert len(seen) == len(set(seen)) == 4


def test_one_class_has_no_other(painted):
    shutil.rmtree(painted / "painted" / "rooster")
    shutil.rmtree(painted / "real" / "rooster")
    judge = bindplug.load_embedder("small-clip", "cpu")
    figures, _ = evaluate_images(judge, painted / "painted", painted / "real")
    assert figures["image similarity, other"] is None
    json.dumps(figures, allow_nan=False)
