"""A small CLIP of open_clip's own class through bindplug, against open_clip's own path."""

import numpy as np
import pytest
import torch
from PIL import Image

import bindplug
from bindplug import BindplugError
from bindplug.bridge import fit_bridge
from bindplug.embedding.embedder import Embedder
from bindplug_openclip import OpenCLIPNetwork


@pytest.fixture(scope="module")
def clip():
    from open_clip import CLIP

    torch.manual_seed(0)
    vision = {"layers": 2, "width": 64, "patch_size": 8, "image_size": 32, "head_width": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    return CLIP(48, vision, text).eval()


@pytest.fixture
def embedder(clip):
    return Embedder(OpenCLIPNetwork(lambda: clip), "made-clip")


def test_text_is_open_clips(clip, embedder):
    import open_clip

    texts = ["a dog", "The sea, at night!", "", "word " * 100]
    with torch.inference_mode():
        want = clip.encode_text(open_clip.get_tokenizer("ViT-B-32")(texts), normalize=True)
    assert np.abs(embedder.embed(text=texts).vectors - want.numpy()).max() < 1e-6
    assert embedder.logit_scale("text") == pytest.approx(clip.logit_scale.exp().item())


def test_pictures_are_open_clips(clip, embedder):
    from open_clip import image_transform

    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (60, 45, 3), np.uint8))
    with torch.inference_mode():
        want = clip.encode_image(image_transform(32, is_train=False)(image)[None], normalize=True)
    assert np.abs(embedder.embed(image=image).vectors - want.numpy()).max() < 1e-5


def test_a_bridge_leads_there(embedder):
    small = bindplug.load_embedder("small", "cpu")
    words = ["dog", "cat", "rain", "piano"]
    bridge = fit_bridge("vocabulary", small, embedder, words, target_templates=["a {}"])
    assert np.allclose(bridge.to_words, embedder.embed(text=[f"a {w}" for w in words]).vectors)
    assert bridge(small.embed(text="rain")).space == "made-clip"


def test_what_cannot_be_fetched(monkeypatch):
    import open_clip

    def absent(*args, **kw):
        raise OSError("no connection")

    monkeypatch.setattr(open_clip, "create_model", absent)
    there = bindplug.load_embedder("openai-clip-vit-b-32", "cpu")
    with pytest.raises(BindplugError, match=r"openai-clip-vit-b-32.*no connection"):
        there.embed(text="a dog")
