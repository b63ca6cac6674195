"""Kandinsky 2.2 and IP-Adapters, as small random pipelines of the real classes."""

import numpy as np
import pytest
import torch

from bindplug import BindplugError, Embedding, SpaceMismatch
from bindplug_unclip import conditioning

WIDTH = 32
SPACE = "a space"


def rows(count, width=WIDTH, space=SPACE):
    vectors = np.random.default_rng(0).normal(size=(count, width))
    return Embedding(vectors, space, "audio", ("x",) * count)


def paint(pipe, seeds=(0,), **kwargs):
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    pipe.set_progress_bar_config(disable=True)
    return pipe(
        generator=generators, num_inference_steps=3, height=64, width=64, output_type="np", **kwargs
    ).images


@pytest.fixture(scope="module")
def kandinsky():
    from diffusers import DDIMScheduler, KandinskyV22Pipeline, UNet2DConditionModel, VQModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=4, out_channels=8, addition_embed_type="image",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", block_out_channels=(32, 64),
        layers_per_block=1, encoder_hid_dim=WIDTH, encoder_hid_dim_type="image_proj",
        cross_attention_dim=WIDTH, attention_head_dim=4, resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    movq = VQModel(
        block_out_channels=[32, 64],
        down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"], layers_per_block=1,
        latent_channels=4, num_vq_embeddings=12, vq_embed_dim=4, norm_type="spatial",
    )  # fmt: skip
    scheduler = DDIMScheduler(clip_sample=False)
    return KandinskyV22Pipeline(unet=unet, scheduler=scheduler, movq=movq)


def test_kandinsky_equals_its_own_entry(kandinsky):
    embedding = rows(2)
    ours = paint(kandinsky, (0, 1), **conditioning(kandinsky, embedding))
    vectors = torch.from_numpy(embedding.vectors * WIDTH**0.5)
    zeros = torch.zeros_like(vectors)
    own = {"image_embeds": vectors, "negative_image_embeds": zeros}
    assert np.array_equal(ours, paint(kandinsky, (0, 1), **own))
    assert not np.array_equal(ours[0], ours[1])
    away = rows(3)[2]
    ours = paint(kandinsky, (0, 1), **conditioning(kandinsky, embedding, negative=away))
    own["negative_image_embeds"] = torch.from_numpy(away.vectors * WIDTH**0.5).repeat(2, 1)
    assert np.array_equal(ours, paint(kandinsky, (0, 1), **own))
    refused = (
        ({"prompt": "oil"}, "no prompt"),
        ({"negative": rows(3)}, "one row"),
        ({"noise_level": 3}, "has no option 'noise_level'; it has negative"),
    )
    for kw, words in refused:
        with pytest.raises(BindplugError, match=words):
            conditioning(kandinsky, embedding, **kw)


@pytest.fixture(scope="module")
def adapted():
    """Stable Diffusion 1.5's classes with an IP-Adapter made of the UNet's own shapes."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), attention_head_dim=2,
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=8,
    )  # fmt: skip
    vae = AutoencoderKL(block_out_channels=[8], norm_num_groups=4)
    text = CLIPTextConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        vocab_size=3, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    vocab = {"a</w>": 0, "<|startoftext|>": 1, "<|endoftext|>": 2}
    pipe = StableDiffusionPipeline(
        vae=vae, unet=unet, text_encoder=CLIPTextModel(text),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        tokenizer=CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    weights = {"image_proj": {"proj.weight": torch.randn(4 * 8, WIDTH) * 0.2,
                              "proj.bias": torch.zeros(4 * 8), "norm.weight": torch.ones(8),
                              "norm.bias": torch.zeros(8)}, "ip_adapter": {}}  # fmt: skip
    key = 1
    for name in unet.attn_processors:
        if name.endswith("attn2.processor"):
            module = unet.get_submodule(name.removesuffix(".processor"))
            for which in ("k", "v"):
                shape = getattr(module, f"to_{which}").weight.shape
                weights["ip_adapter"][f"{key}.to_{which}_ip.weight"] = torch.randn(shape) * 0.3
            key += 2
    unet._load_ip_adapter_weights([weights])
    pipe.set_ip_adapter_scale(1.0)
    return pipe


def test_an_ip_adapter_equals_its_own_entry(adapted):
    one, other = rows(2)[0], rows(2)[1]
    vector = torch.from_numpy(one.vectors * 20)[:, None]
    ours = paint(adapted, **conditioning(adapted, one, prompt="a"))
    own = [torch.cat([torch.zeros_like(vector), vector])]
    assert np.array_equal(ours, paint(adapted, prompt="a", ip_adapter_image_embeds=own))
    another = paint(adapted, **conditioning(adapted, other, prompt="a"))
    assert not np.array_equal(ours, another), "the embedding does not matter"
    free = conditioning(adapted, one, guidance=False)
    theirs = paint(adapted, prompt="", ip_adapter_image_embeds=[vector], guidance_scale=1.0)
    assert np.array_equal(paint(adapted, guidance_scale=1.0, **free), theirs)


def test_several_pictures_are_of_the_row(adapted):
    one = rows(2)[1]
    both = paint(adapted, (0, 1), **conditioning(adapted, one, num_images=2))
    for i in range(2):
        alone = paint(adapted, (i,), **conditioning(adapted, one))
        assert np.abs(alone[0] - both[i]).max() < 1e-5
    with pytest.raises(BindplugError, match="one embedding a call"):
        conditioning(adapted, rows(2))


def test_several_pictures_for_several_rows(kandinsky):
    embedding = rows(2)
    four = paint(kandinsky, (0, 1, 2, 3), **conditioning(kandinsky, embedding, num_images=2))
    for i in range(4):
        alone = paint(kandinsky, (i,), **conditioning(kandinsky, embedding[i // 2]))
        other = paint(kandinsky, (i,), **conditioning(kandinsky, embedding[1 - i // 2]))
        assert np.abs(alone[0] - four[i]).mean() < 1e-3 < np.abs(other[0] - four[i]).mean()


def test_refused(kandinsky, adapted):
    kandinsky.bindplug_space = SPACE
    with pytest.raises(SpaceMismatch, match="'a space'"):
        conditioning(kandinsky, rows(1, space="another"))
    for pipe in (kandinsky, adapted):
        with pytest.raises(BindplugError, match="embeddings of 32, got 16"):
            conditioning(pipe, rows(1, 16))
    with pytest.raises(BindplugError, match="at least 1"):
        conditioning(adapted, rows(1), num_images=0)
    layers = adapted.unet.encoder_hid_proj.image_projection_layers
    plain = layers[0]
    layers[0] = torch.nn.Identity()
    with pytest.raises(BindplugError, match="reads an image's patches"):
        conditioning(adapted, rows(1))
    layers[0] = plain
