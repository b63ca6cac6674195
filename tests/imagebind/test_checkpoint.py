import pytest
import torch

from bindplug import BindplugError
from bindplug.imagebind import (
    ImageBind,
    ImageBindConfig,
    TextConfig,
    VisionConfig,
    load_imagebind,
    save_imagebind,
)
from bindplug.storage.state_dict import read_state


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = ImageBindConfig(
        embed_dim=8,
        vision=VisionConfig(width=16, depth=1, heads=2, image_size=16, patch_size=8),
        text=TextConfig(width=16, depth=1, heads=2, context_length=8, vocab_size=600),
        audio=None,
        depth=None,
        thermal=None,
        imu=None,
    )
    return ImageBind(config).eval()


@pytest.fixture
def folder(model, tmp_path):
    save_imagebind(model, tmp_path / "m", {"space": "here"})
    return tmp_path / "m"


def test_round_trip_in_half_precision(model, folder):
    again = load_imagebind(folder)
    assert again.config == model.config and not again.training
    for key, value in model.state_dict().items():
        assert torch.equal(value.half().float(), again.state_dict()[key]), key
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_only_the_trunks_asked_for(model, folder):
    text = load_imagebind(folder, ["text"])
    assert list(text.modality_trunks) == ["text"]
    ids = torch.tensor([[598, 5, 599, 0, 0, 0, 0, 0]])
    with torch.inference_mode():
        whole = load_imagebind(folder)({"text": ids})["text"]
        assert torch.equal(text({"text": ids})["text"], whole)


def test_what_is_no_checkpoint(folder, tmp_path):
    with pytest.raises(BindplugError, match="no such checkpoint"):
        read_state(tmp_path / "absent.pth")
    for content in ({"a": torch.zeros(1)}, {"modality_trunks.vision.x": 3}):
        torch.save(content, tmp_path / "x.pth")
        for modalities in (None, ["audio"]):
            with pytest.raises(BindplugError, match="no tensor 'modality_preprocessors"):
                load_imagebind(tmp_path / "x.pth", modalities)
    torch.save([1, 2], tmp_path / "x.pth")
    with pytest.raises(BindplugError, match="holds a list"):
        load_imagebind(tmp_path / "x.pth")
    (tmp_path / "x.safetensors").write_bytes(b"12345678")
    with pytest.raises(BindplugError, match="cannot be read as weights"):
        read_state(tmp_path / "x.safetensors")


def test_a_file_of_an_old_torch(tmp_path):
    x = torch.arange(3.0)
    torch.save({"x": x}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_state(tmp_path / "x.pth")["x"], x)


def test_a_folder_that_does_not_fit(folder):
    state = read_state(folder / "model.safetensors")
    from safetensors.torch import save_file

    key = "modality_heads.vision.2.weight"
    save_file({**state, key: torch.zeros(3, 3)}, folder / "model.safetensors")
    with pytest.raises(BindplugError, match=r"'modality_heads.vision.2.weight' has shape \(3, 3\)"):
        load_imagebind(folder)
    save_file({**state, "more": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(BindplugError, match="unknown tensor 'more'"):
        load_imagebind(folder)
    (folder / "config.json").write_text('{"model": {"embed_dim": 8, "smell": {}}}')
    with pytest.raises(BindplugError, match="smell"):
        load_imagebind(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(BindplugError, match="not a bindplug configuration"):
        load_imagebind(folder)
