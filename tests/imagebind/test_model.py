"""The network against the reference's outputs (tests/golden/imagebind_tiny)."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bindplug.imagebind import ImageBind, ImageBindConfig, imagebind_huge

CASES = {
    "vision_image": "vision",
    "vision_video_clip": "vision",
    "vision_video_multi": "vision",
    "text": "text",
    "audio_single": "audio",
    "audio_multi": "audio",
    "depth": "depth",
    "thermal": "thermal",
    "imu": "imu",
}


def relative(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "imagebind_tiny"


@pytest.fixture(scope="module")
def model(folder, golden_config):
    model = ImageBind(golden_config)
    model.load_state_dict(load_file(folder / "state_tiny.safetensors"), strict=True)
    return model.eval()


@pytest.fixture(scope="module")
def inputs(folder):
    with np.load(folder / "inputs_u8.npz") as data:
        return {
            name: torch.from_numpy(
                data[name] if name == "text" else (data[name].astype(np.float32) - 127.5) / 64
            )
            for name in data.files
        }


@pytest.fixture(scope="module")
def expected(folder):
    return np.load(folder / "outputs.npz")


@pytest.mark.parametrize("case", CASES)
@torch.inference_mode()
def test_every_stage(case, model, inputs, expected):
    modality, x = CASES[case], inputs[case]
    stem, trunk = model.modality_preprocessors[modality], model.modality_trunks[modality]
    flat = x.flatten(0, 1) if x.ndim >= 5 else x
    tokens = stem(flat)
    out = trunk(tokens, stem.mask) if modality == "text" else trunk(tokens)
    head = model.features(modality, flat)
    kept = (slice(None), slice(None, None, 8)) if modality == "text" else slice(1)
    stages = {
        "tokens": tokens[kept],
        "trunk": out[kept],
        "head": head,
        "unit": torch.nn.functional.normalize(head, dim=-1),
        "post": model.modality_postprocessors[modality](head),
        "final": model({modality: x})[modality],
    }
    for stage, value in stages.items():
        reference = expected[f"{case}/{stage}"]
        assert relative(value.numpy().reshape(reference.shape), reference) < 2e-6, stage
    assert relative(stages["final"].numpy(), expected[f"{case}/final64"]) < 2e-6


@torch.inference_mode()
def test_text_scale_is_clipped_at_100(model, inputs, expected):
    scale = model.modality_postprocessors["text"][1].log_logit_scale
    before = scale.clone()
    try:
        scale.fill_(5.0)
        out = model({"text": inputs["text"]})["text"].numpy()
    finally:
        scale.copy_(before)
    assert relative(out, expected["text_clipped_scale/final"]) < 2e-6


def test_huge_has_the_released_names_and_shapes(golden):
    manifest = json.loads((golden / "imagebind_huge_manifest.json").read_text())["tensors"]
    with torch.device("meta"):
        model = ImageBind(imagebind_huge())
    state = model.state_dict()
    assert list(state) == list(manifest)
    assert len(state) == 1311
    parameters = dict(model.named_parameters())
    for key, entry in manifest.items():
        assert list(state[key].shape) == entry["shape"], key
        assert (key in parameters) == (entry["kind"].startswith("param")), key


def test_config_survives_json():
    config = ImageBindConfig(embed_dim=64, depth=None, thermal=None, imu=None)
    again = ImageBindConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    with pytest.raises(ValueError, match="smell"):
        ImageBindConfig.from_dict({"embed_dim": 4, "smell": {}})


def test_sense_without_a_trunk(model):
    small = ImageBind(model.config, modalities=["text"])
    with pytest.raises(ValueError, match=r"no 'audio' trunk; it has text"):
        small({"audio": torch.zeros(1, 1, 128, 204)})


@torch.inference_mode()
def test_square_pictures_of_other_sizes_and_no_others(model):
    assert model({"vision": torch.zeros(1, 3, 280, 280)})["vision"].shape == (1, 32)
    with pytest.raises(ValueError, match="square"):
        model({"vision": torch.zeros(1, 3, 224, 280)})
    with pytest.raises(ValueError, match="tokens"):
        model({"audio": torch.zeros(1, 1, 128, 214)})
    with pytest.raises(ValueError, match="2000"):
        model({"imu": torch.zeros(1, 6, 1000)})
