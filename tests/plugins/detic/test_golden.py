"""Native Detic against the reference, stage by stage (tests/golden/detic)."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from bindplug_detic import Detic, config_from_state
from bindplug_detic import images as detic_images
from bindplug_detic.roi_heads import pool, score_matrix
from bindplug_detic.swin import relative_position_index

MANIFESTS = {"r18": "r18", "r50": "r50", "convnext_tiny": "cxt"}
CASES = [*MANIFESTS, "tinyswin"]
SIZE = (250, 337)


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "detic"


@pytest.fixture(scope="module")
def recipe(folder):
    spec = importlib.util.spec_from_file_location("recipe", folder / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def filled_state(folder, recipe, name):
    """A full-size state dict with upstream's keys, filled by the recipe."""
    manifest = json.loads((folder / f"detic_{name}_manifest.json").read_text())
    state = {}
    for key, entry in manifest.get("tensors", manifest).items():
        value = recipe.value_for(key, tuple(entry["shape"]), entry["dtype"].startswith("float"))
        if key.endswith("relative_position_index"):
            state[key] = relative_position_index()
        elif value is not None:
            state[key] = torch.from_numpy(value)
    return state


@pytest.fixture(scope="module", params=CASES)
def run(request, folder, recipe, tmp_path_factory):
    """The model, its picture features and cascade, and the reference's figures."""
    if request.param == "tinyswin":
        path = folder / "tinyswin_model.pth"
    else:
        path = tmp_path_factory.mktemp("detic") / f"{request.param}.pth"
        torch.save({"model": filled_state(folder, recipe, MANIFESTS[request.param])}, path)
    model = Detic.from_checkpoint(path)
    model.set_classifier(recipe.class_embeddings())
    features = model.features(recipe.image(), 250, 1333)
    stages = features.stages
    if request.param != "tinyswin":
        path.unlink()
    return request.param, model, features, stages, np.load(folder / f"{request.param}.npz")


def close(actual, expected, tolerance):
    actual = np.asarray(actual)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


def match(boxes, expected):
    """For each expected box the index of the nearest one, for near ties that swapped places."""
    return np.abs(boxes[:, None] - expected[None]).max(-1).argmin(0)


def test_input(folder, recipe):
    common = np.load(folder / "common.npz")
    image = recipe.image()
    assert np.array_equal(image, common["image_bgr"])
    assert detic_images.network_size(230, 310, 250, 1333) == SIZE
    resized = detic_images.resize(image[:, :, ::-1], *SIZE)
    assert np.array_equal(resized, common["resized_rgb"])
    assert np.array_equal(detic_images.to_tensor(resized)[0], common["normalized_padded"])


@torch.inference_mode()
def test_maps(run, recipe):
    name, model, features, _, golden = run
    x = detic_images.to_tensor(detic_images.resize(recipe.image()[:, :, ::-1], *SIZE))
    keys = [k for k in golden.files if k.startswith("bottom_up/")]
    for out, key in zip(model.backbone.bottom_up(x), sorted(keys), strict=True):
        kept = out[0, :4] if name in ("r18", "convnext_tiny") else out[0, ::16]
        close(kept, golden[key].reshape(kept.shape), 1e-5)
    heat, reach = model.proposal_generator(features.maps)
    for i, level in enumerate(features.maps):
        expected = golden[f"fpn/p{i + 3}"]
        kept = level[0, : expected.shape[-3]]
        close(kept, expected.reshape(kept.shape), 1e-5)
        logit = golden[f"centernet/p{i + 3}_agn_hm_logit"]
        close(heat[i].reshape(logit.shape), logit, 1e-5)
        ltrb = golden[f"centernet/p{i + 3}_reg_after_relu"]
        close(reach[i].reshape(ltrb.shape), ltrb, 1e-5)


def test_proposals(run):
    _, _, features, _, golden = run
    order = match(features.proposals.numpy(), golden["proposals/boxes"])
    assert len(features.proposals) == 256 and len(set(order)) == 256
    assert np.abs(features.proposals.numpy()[order] - golden["proposals/boxes"]).max() < 2e-3
    assert np.abs(features.scores.numpy()[order] - golden["proposals/scores"]).max() < 1e-5


@torch.inference_mode()
def test_stages(run):
    _, model, features, stages, golden = run
    order = match(features.proposals.numpy(), golden["proposals/boxes"])
    for k, stage in enumerate(stages):
        boxes = golden[f"stage{k}/proposal_boxes"]
        assert np.abs(stage.boxes.numpy()[order] - boxes).max() < 2e-3
        logits = stage.embeddings @ model.classifier
        close(logits.numpy()[order], golden[f"stage{k}/logits"][:, :-1], 5e-5)
        close(stage.deltas.numpy()[order], golden[f"stage{k}/deltas"], 5e-5)
        close(stage.decoded.numpy()[order], golden[f"stage{k}/decoded_boxes"], 5e-5)
        pooled = pool(features.maps, [stage.boxes[order[:8]]], 7)
        expected = golden[f"stage{k}/pooled_first2"]
        close(pooled[:2, : expected.shape[1]], expected, 5e-5)
        close(model.roi_heads.box_head[k](pooled), golden[f"stage{k}/head_first8"], 5e-5)
    matrix = score_matrix(stages, model.classifier, features.scores).numpy()[order]
    close(matrix, golden["roi/final_score_matrix"][:, :-1], 2e-5)


@pytest.mark.parametrize("setting", ["a", "b", "c"])
def test_detections(run, setting):
    _, model, features, _, golden = run
    threshold, one_class, _, top = golden[f"{setting}/settings"]
    found = model.classify(
        features,
        score_threshold=float(threshold),
        one_class_per_proposal=bool(one_class),
        top_k=int(top),
    )
    boxes, classes = golden[f"{setting}/boxes"], golden[f"{setting}/post_classes"]
    assert len(found) == len(boxes)
    # Objects are matched by box and class, because near ties may swap places.
    distance = np.abs(found.boxes[:, None] - boxes[None]).max(-1)
    distance = distance + 1e3 * (found.class_ids[:, None] != classes[None])
    order = distance.argmin(0)
    assert len(set(order)) == len(boxes) and distance.min(0).max() < 1e-3
    assert np.abs(found.scores[order] - golden[f"{setting}/post_scores"]).max() < 1e-5
    packed = golden[f"{setting}/masks_packed"]
    masks = np.unpackbits(packed, axis=-1)[..., :310].astype(bool)
    wrong = (found.masks[order[: len(masks)]] != masks).sum(axis=(1, 2))
    assert wrong.max() <= 5
    areas = found.masks[order].sum(axis=(1, 2))
    assert np.abs(areas - golden[f"{setting}/mask_areas"]).max() <= 5


@pytest.mark.parametrize("name", ["swinb", "cxt", "r50", "r50rt", "r18"])
def test_full_size_configs_are_read_off_the_keys(folder, name):
    manifest = json.loads((folder / f"detic_{name}_manifest.json").read_text())
    manifest = manifest.get("tensors", manifest)
    state = {k: torch.empty(e["shape"], device="meta") for k, e in manifest.items()}
    config = config_from_state(state)
    with torch.device("meta"):
        model = Detic(config)
    for key, value in model.state_dict().items():
        assert key in manifest and list(value.shape) == manifest[key]["shape"], key
    unused = set(manifest) - set(model.state_dict())
    allowed = ("zs_weight", "freq_weight", "base.fc.weight", "base.fc.bias")
    assert all(k.endswith(allowed) for k in unused)
