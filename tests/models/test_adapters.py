"""Adapters (LoRA): trained beside a base, saved alone, found again by their base's name."""

from functools import partial

import pytest
import torch

import bindplug
from bindplug import BindplugError
from bindplug.models.towers.build import make_tower
from bindplug.models.towers.folder import Description, load_tower, save_towers
from bindplug.models.towers.lora import adapter_state, add_adapter
from bindplug.models.towers.probe import probe
from bindplug.models.towers.spec import TowerSpec, parse_tower

SIZES = "width=32,depth=2,heads=2"
load = partial(bindplug.load_embedder, device="cpu")


def tower(text, width=16):
    torch.manual_seed(0)
    return make_tower(parse_tower(text), width, load).eval()


@pytest.mark.parametrize("text", [
    f"audio=imagebind:{SIZES}", "image=timm:test_vit", f"imu=imagebind:{SIZES}",
])  # fmt: skip
def test_adapters(text, tmp_path):
    """Each adapter is trained, each changes the output, and merging gives what was trained."""
    pytest.importorskip("peft")
    base, modality = tower(text), text.split("=")[0]
    made = tower(text)
    add_adapter(made.trunk, {"r": 2})
    x, _ = made.trunk.transform(modality, probe(modality))
    with torch.no_grad():
        assert torch.allclose(made(x), base(x), atol=1e-6)  # B starts at 0
    free = [p for n, p in made.trunk.named_parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(free, lr=5.0)
    for _ in range(3):
        optimizer.zero_grad()
        made(x)[:, 0].sum().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in free)
    state = adapter_state(made.trunk)
    assert len(free) == len(state) and any("qkv" in k or "in_proj" in k for k in state)
    with torch.no_grad():
        assert (made(x) - base(x)).abs().max() > 1e-3
    # A folder that holds the adapter alone: its base is found by its name.
    save_towers(
        tmp_path / "base", Description("s", 16, {modality: parse_tower(text)}), {modality: base}
    )
    spec = TowerSpec(modality, "tower", f"local:{tmp_path / 'base'}", lora={"r": 2})
    save_towers(tmp_path / "lora", Description("s", 16, {modality: spec}), {modality: made})
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("lora", "base")]
    assert sizes[0] < sizes[1] / 2
    again = load_tower(tmp_path / "lora", modality, load)
    with torch.no_grad():
        assert torch.allclose(again(x), made.eval()(x), atol=1e-5)


def test_another_base_under_the_same_name_is_found_out(tmp_path):
    pytest.importorskip("peft")
    made = tower(f"audio=imagebind:{SIZES}")
    spec = parse_tower(f"audio=imagebind:{SIZES}")
    save_towers(tmp_path / "base", Description("s", 16, {"audio": spec}), {"audio": made})
    add_adapter(made.trunk, {"r": 2})
    own = TowerSpec("audio", "tower", f"local:{tmp_path / 'base'}", lora={"r": 2})
    save_towers(tmp_path / "lora", Description("s", 16, {"audio": own}), {"audio": made})
    torch.manual_seed(9)
    other = make_tower(spec, 16, load).eval()
    save_towers(tmp_path / "base", Description("s", 16, {"audio": spec}), {"audio": other})
    with pytest.raises(BindplugError, match="was trained on another local:"):
        load_tower(tmp_path / "lora", "audio", load)


def test_bad_adapters():
    pytest.importorskip("peft")
    trunk = tower(f"audio=imagebind:{SIZES}").trunk
    for settings, error in (
        ({"rank": 3}, "no 'rank'"), ({"r": 0}, "r is 0"), ({"r": 2, "target": "nothing"}, "lora: "),
    ):  # fmt: skip
        with pytest.raises(BindplugError, match=error):
            add_adapter(trunk, settings)
