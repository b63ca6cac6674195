"""Towers: how they are named, built, frozen, adapted, saved and loaded."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import bindplug
from bindplug import BindplugError
from bindplug.imagebind import load_imagebind
from bindplug.models.towers.build import make_tower, make_trunk, resolved
from bindplug.models.towers.folder import Description, save_towers
from bindplug.models.towers.probe import probe
from bindplug.models.towers.spec import TowerSpec, parse_tower
from bindplug.models.towers.tower import Head, Tower, Trunk

SIZES = "width=32,depth=2,heads=2"
load = partial(bindplug.load_embedder, device="cpu")


def tower(text, width=16, **settings):
    torch.manual_seed(0)
    return make_tower(parse_tower(text), width, load, **settings).eval()


def vector(tower, modality):
    clips, _ = tower.trunk.transform(modality, probe(modality))
    with torch.no_grad():
        return tower(clips)


@pytest.mark.parametrize(("text", "spec"), [
    ("audio=imagebind:width=128,depth=4", {"arguments": {"width": 128, "depth": 4}}),
    ("audio=imagebind,width=128", {"arguments": {"width": 128}}),
    ("image=timm:resnet18,pretrained=true,head=mlp,dropout=0.1",
     {"name": "resnet18", "arguments": {"pretrained": True}, "head": "mlp", "dropout": 0.1}),
    ("audio=lora:r=16,alpha=4", {"lora": {"r": 16, "alpha": 4}}),
    ("image=timm:vit,lora=4,lora_dropout=0.1", {"name": "vit", "lora": {"r": 4, "dropout": 0.1}}),
    ("text=open_clip:ViT-B-32", {"name": "ViT-B-32"}),
    ("image=local:/a/b", {"kind": "embedder", "name": "local:/a/b"}),
    ("audio=train", {}),
])  # fmt: skip
def test_names(text, spec):
    modality, rest = text.split("=", 1)
    kind = rest.replace(",", ":").split(":")[0]
    assert parse_tower(text) == TowerSpec(**{"modality": modality, "kind": kind, **spec})
    assert TowerSpec(**json.loads(json.dumps(parse_tower(text).to_dict()))) == parse_tower(text)


@pytest.mark.parametrize("text", [
    "audio", "audio=", "=timm:x", "image=timm:a,b", "image=timm:a,head=no", "image=timm:a,dropout=2"
])  # fmt: skip
def test_bad_names(text):
    with pytest.raises(BindplugError, match=r"tower|head"):
        parse_tower(text)


@pytest.mark.parametrize(("text", "error"), [
    ("image=nothing", "no trunk 'nothing'; there are: imagebind, timm"),
    ("image=timm", "name a model"),
    ("image=timm:nothing", "timm's model 'nothing' cannot be had"),
    ("imu=timm:test_resnet", "takes image, audio"),
    ("audio=imagebind:size=3", "no size of ImageBind's audio trunk 'size'"),
    ("audio=imagebind:width=32,heads=5", "not a multiple"),
    ("touch=imagebind", "no modality of ImageBind 'touch'"),
    ("depth=small", "does not embed depth"),
    ("image=timm:test_resnet,head=none", "choose the head linear or mlp"),
    ("image=timm:test_resnet,nothing=3", "cannot be had"),
    ("image=timm:test_vit,size=x", "size is 'x'; give pixels"),
    ("audio=timm:test_vit", "test_vit cannot take 128 x 204 pixels: Input width"),
    ("image=timm:test_resnet,lora=4,lora_alpha=x", "alpha is 'x'; give a positive number"),
    ("image=timm:test_resnet,lora=4,lora_dropout=1", "dropout is 1; give a number"),
    ("image=timm:test_resnet,lora=true", "r is True; give a rank"),
    ("image=timm:test_resnet,lora=4,lora_target=[", "lora: unterminated"),
])  # fmt: skip
def test_towers_that_cannot_be_built(text, error):
    with pytest.raises(BindplugError, match=error):
        vector(tower(text), text.split("=")[0])


@pytest.mark.parametrize("arguments", ["dynamic_img_size=true,dynamic_img_pad=true", ""])
def test_a_timm_model_that_takes_sounds_already_stays_as_it_is(arguments):
    import timm

    name = "test_vit" if arguments else "test_resnet"
    trunk = make_trunk(parse_tower(f"audio=timm:{name},{arguments}"), None)
    own = timm.create_model(name, num_classes=0, in_chans=1).state_dict()
    assert {k: x.shape for k, x in trunk.net.state_dict().items()} == {
        k: x.shape for k, x in own.items()
    }
    assert trunk.net.training


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Tiny random models of transformers: image, audio and text."""
    import transformers as t

    folder = tmp_path_factory.mktemp("hub")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 16}  # fmt: skip
    torch.manual_seed(1)
    t.ViTModel(t.ViTConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(folder / "image")
    t.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder / "image")
    t.ASTModel(t.ASTConfig(**sizes, max_length=128, num_mel_bins=64)).save_pretrained(
        folder / "audio")  # fmt: skip
    t.ASTFeatureExtractor(max_length=128, num_mel_bins=64).save_pretrained(folder / "audio")
    t.BertModel(t.BertConfig(**sizes, vocab_size=10)).save_pretrained(folder / "text")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "photo", "of", "dog", "cat"]
    t.BertTokenizer(vocab={w: i for i, w in enumerate(words)}).save_pretrained(folder / "text")
    return folder


def all_kinds(hub):
    return {
        "audio": [f"imagebind:{SIZES}", "small", "small,head=mlp", "timm:test_resnet",
                  "timm:test_vit3", f"transformers:{hub}/audio"],
        "image": [f"imagebind:{SIZES}", "small", "timm:test_vit,size=96",
                  "timm:test_resnet,head=mlp", f"transformers:{hub}/image"],
        "text": [f"imagebind:{SIZES},vocab_size=1024", "small", f"transformers:{hub}/text"],
        "depth": [f"imagebind:{SIZES}", "timm:test_resnet"],
        "thermal": [f"imagebind:{SIZES}"],
        "imu": [f"imagebind:{SIZES}"],
    }  # fmt: skip


def test_saved_and_loaded(hub, tmp_path):
    """Every kind, in a folder each, without its weights being fetched again."""
    for modality, texts in all_kinds(hub).items():
        for i, text in enumerate(texts):
            made = tower(f"{modality}={text}")
            folder, spec = tmp_path / f"{modality}{i}", resolved(parse_tower(f"{modality}={text}"))
            save_towers(folder, Description("made", 16, {modality: spec}), {modality: made})
            embedder = bindplug.load_embedder(f"local:{folder}", device="cpu")
            assert embedder.modalities[0] == modality and embedder.space == "made"
            expected = vector(made, modality).mean(0)
            expected = expected / expected.norm()
            found = embedder.embed(**{modality: probe(modality)}).vectors[0]
            assert np.allclose(found, expected, atol=1e-5), text
            half = bindplug.load_embedder(f"local:{folder}", device="cpu", dtype="bfloat16")
            close = half.embed(**{modality: probe(modality)}).vectors[0]
            assert close @ found > 0.97, text


def test_open_clip(monkeypatch):
    import open_clip

    tiny = open_clip.CLIP(16, {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2,
                               "head_width": 16},
                          {"vocab_size": 1000, "width": 16, "heads": 2, "layers": 2})  # fmt: skip
    made = []

    def create(name, pretrained=None):
        made.append((name, pretrained))
        import copy

        return copy.deepcopy(tiny)

    monkeypatch.setattr(open_clip, "create_model", create)
    for modality in ("image", "text"):
        of = tower(f"{modality}=open_clip:Tiny,weights=best")
        x, _ = of.trunk.transform(modality, probe(modality))
        with torch.no_grad():
            expected = tiny.eval().encode_image(x) if modality == "image" else tiny.encode_text(x)
            assert torch.allclose(of.trunk(x), expected, atol=1e-6)
        own = sum(p.numel() for p in of.trunk.parameters())
        assert own < sum(p.numel() for p in tiny.parameters())  # the other tower is gone
        assert len(of.trunk.blocks()) == 2 and of.trunk.pretrained
        assert of.trunk.skeleton("Tiny", {"weights": "best"}) == ("Tiny", {})
    assert made[0] == ("Tiny", "best")


def test_imagebind_with_weights(imagebind_folder):
    made = tower(f"audio=imagebind:local:{imagebind_folder}", 16)
    whole = load_imagebind(imagebind_folder, ["audio"])
    x, _ = made.trunk.transform("audio", probe("audio"))
    with torch.no_grad():
        assert torch.allclose(made.trunk(x), whole.features("audio", x))
    width = whole.config.embed_dim
    assert tower(f"audio=imagebind:local:{imagebind_folder}", width).head.kind == "none"


def test_locks():
    made = tower(f"audio=imagebind:{SIZES}")
    made.free_blocks(1)
    free = {n for n, p in made.named_parameters() if p.requires_grad}
    assert all("blocks.1." in n or n.startswith("head.") for n in free) and len(free) > 10
    with pytest.raises(BindplugError, match="3 blocks shall stay unlocked, and this trunk has 2"):
        made.free_blocks(3)
    frozen = tower("image=timm:test_resnet", is_frozen=True).train()
    assert not frozen.trunk.training and frozen.head.training
    assert [n for n, p in frozen.named_parameters() if p.requires_grad] == [
        "head.layers.0.weight", "head.layers.0.bias"
    ]  # fmt: skip


def test_batch_norms_that_came_trained_keep_their_statistics():
    own, given = (tower("image=timm:test_resnet").train() for _ in range(2))
    given.trunk.pretrained = True
    given.train()
    x = torch.randn(4, 3, 160, 160)
    for made, moves in ((own, True), (given, False)):
        before = {n: b.clone() for n, b in made.named_buffers() if "running_mean" in n}
        made(x)
        after = dict(made.named_buffers())
        assert any(not torch.equal(before[n], after[n]) for n in before) is moves


@pytest.mark.parametrize("text", [f"audio=imagebind:{SIZES}", "audio=timm:test_vit3"])
def test_recomputed_activations_give_the_same_gradients(text):
    x = torch.randn(3, 1, 128, 204)
    grads = []
    for recompute in (False, True):
        made = tower(text).train()
        if recompute:
            made.recompute_activations()
        made(x).square()[:, 0].sum().backward()
        grads.append({n: p.grad for n, p in made.named_parameters()})
    assert all(torch.allclose(grads[0][n], grads[1][n], atol=1e-6) for n in grads[0])


def test_a_trunk_whose_width_is_wrong():
    class Wrong(Trunk):
        width, modalities = 8, ("audio",)

        def forward(self, x):
            return x[:, :4]

    made = Tower(Wrong(), Head("linear", 8, 16))
    with pytest.raises(BindplugError, match=r"Wrong gives \(2, 4\) features.*width says 8"):
        made(torch.zeros(2, 9))


def test_folders_that_are_not_whole(tmp_path):
    made = tower(f"audio=imagebind:{SIZES}")
    spec = parse_tower(f"audio=imagebind:{SIZES}")
    save_towers(tmp_path, Description("s", 16, {"audio": spec}), {"audio": made})
    config = json.loads((tmp_path / "config.json").read_text())
    for changed, error in (
        ({**config, "embed_dim": "16"}, "not a folder of towers"),
        ({**config, "towers": {"audio": {"kind": "imagebind"}}}, "not a folder of towers"),
        ({**config, "embed_dim": 32}, "has shape"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(changed))
        with pytest.raises(BindplugError, match=error):
            bindplug.load_embedder(f"local:{tmp_path}", device="cpu").embed(audio=probe("audio"))
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(BindplugError, match="cannot be read as weights"):
        bindplug.load_embedder(f"local:{tmp_path}", device="cpu").embed(audio=probe("audio"))


def test_heads():
    x = torch.randn(50, 8) * 3 + 1
    head = Head("mlp", 8, 4)
    head.standardise(x)
    y = (x - head.mean) / head.deviation
    assert y.mean(0).abs().max() < 1e-5 and y.std(0).mean() == pytest.approx(1, abs=1e-4)
    assert torch.allclose(head.eval()(x), head.layers(y))
    assert [type(m) for m in head.layers] == [nn.Linear, nn.GELU, nn.Linear]
    assert replace(parse_tower("audio=timm:x"), head="mlp").head == "mlp"
    assert make_trunk(parse_tower("image=small"), load).width == 256
