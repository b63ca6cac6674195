"""Karlo, Stable Cascade's prior, SDXL with an IP-Adapter, and any text-to-image pipeline, as small
random pipelines of the real classes: what a pipeline's own entry gives, ours gives too."""

import numpy as np
import pytest
import torch

import bindplug
from bindplug import BindplugError, Embedding
from bindplug_unclip import conditioning
from bindplug_unclip.generator import PipelineGenerator, load

WIDTH = 32
VOCAB = {"a</w>": 0, "<|startoftext|>": 1, "<|endoftext|>": 2}


def rows(count, width=WIDTH, space="x"):
    vectors = np.random.default_rng(0).normal(size=(count, width))
    return Embedding(vectors, space, "audio", ("x",) * count)


def text_parts(width=WIDTH, projected=True):
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        CLIPTokenizer,
    )

    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        vocab_size=3, bos_token_id=1, eos_token_id=2, projection_dim=width,
    )  # fmt: skip
    model = CLIPTextModelWithProjection if projected else CLIPTextModel
    return model(config).eval(), CLIPTokenizer(vocab=VOCAB, merges=[], model_max_length=77)


def karlo_parts():
    from diffusers import UNet2DConditionModel, UNet2DModel
    from diffusers.pipelines.deprecated.unclip import UnCLIPTextProjModel
    from diffusers.schedulers import UnCLIPScheduler

    torch.manual_seed(0)
    encoder, tokenizer = text_parts()
    decoder = UNet2DConditionModel(
        sample_size=32, in_channels=3, out_channels=6, block_out_channels=(32, 64),
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", layers_per_block=1,
        cross_attention_dim=32, attention_head_dim=4, resnet_time_scale_shift="scale_shift",
        class_embed_type="identity",
    )  # fmt: skip

    def upscale():
        return UNet2DModel(
            sample_size=64, layers_per_block=1, down_block_types=("ResnetDownsampleBlock2D",) * 2,
            up_block_types=("ResnetUpsampleBlock2D",) * 2, block_out_channels=(32, 64),
            in_channels=6, out_channels=3,
        )  # fmt: skip

    projection = UnCLIPTextProjModel(
        clip_embeddings_dim=WIDTH, time_embed_dim=128, cross_attention_dim=32,
        clip_extra_context_tokens=2,
    )  # fmt: skip
    scheduler = {"prediction_type": "epsilon", "num_train_timesteps": 1000}
    return {
        "decoder": decoder, "text_encoder": encoder, "tokenizer": tokenizer,
        "text_proj": projection, "super_res_first": upscale(), "super_res_last": upscale(),
        "decoder_scheduler": UnCLIPScheduler(variance_type="learned_range", **scheduler),
        "super_res_scheduler": UnCLIPScheduler(variance_type="fixed_small_log", **scheduler),
    }  # fmt: skip


@pytest.fixture(scope="module")
def variation():
    from diffusers import UnCLIPImageVariationPipeline
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    vision = CLIPVisionConfig(
        hidden_size=32, projection_dim=WIDTH, num_hidden_layers=1, num_attention_heads=2,
        image_size=32, intermediate_size=8, patch_size=8,
    )  # fmt: skip
    return UnCLIPImageVariationPipeline(
        **karlo_parts(), image_encoder=CLIPVisionModelWithProjection(vision).eval(),
        feature_extractor=CLIPImageProcessor(crop_size=32, size=32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def karlo():
    from diffusers import PriorTransformer, UnCLIPPipeline
    from diffusers.schedulers import UnCLIPScheduler

    torch.manual_seed(1)
    prior = PriorTransformer(
        num_attention_heads=2, attention_head_dim=12, embedding_dim=WIDTH, num_layers=1
    )
    prior.clip_std = torch.nn.Parameter(torch.ones(1, WIDTH))
    scheduler = UnCLIPScheduler(
        variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=5.0
    )
    return UnCLIPPipeline(**karlo_parts(), prior=prior, prior_scheduler=scheduler)


def paint(pipe, seed=0, **kwargs):
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(seed)
    return pipe(generator=generator, output_type="np", **kwargs).images


FEW = {"decoder_num_inference_steps": 2, "super_res_num_inference_steps": 2}


def test_karlos_variations_equal_their_own_entry(variation):
    from PIL import Image

    noise = np.random.default_rng(3).integers(0, 255, (32, 32, 3), np.uint8)
    image = Image.fromarray(noise)
    x = variation.feature_extractor(images=image, return_tensors="pt").pixel_values
    with torch.inference_mode():
        embeds = variation.image_encoder(x).image_embeds
    length = float(embeds.norm())
    embedding = Embedding(embeds.numpy(), "x", "image", ("x",))
    ours = paint(variation, **conditioning(variation, embedding, norm=length), **FEW)
    theirs = paint(variation, image=image, **FEW)
    assert np.abs(ours - theirs).max() < 2e-3  # the unit row brought back to its length
    exact = torch.from_numpy(embedding.vectors * length)
    assert np.array_equal(ours, paint(variation, image_embeddings=exact, **FEW))
    other = paint(variation, **conditioning(variation, rows(2)[1]), **FEW)
    assert not np.array_equal(other, ours)
    with pytest.raises(BindplugError, match="reads no prompt"):
        conditioning(variation, rows(1), prompt="a")


def test_karlo_takes_the_texts_place(karlo):
    tokens = karlo.tokenizer("a", padding="max_length", max_length=77, return_tensors="pt")
    with torch.inference_mode():
        out = karlo.text_encoder(tokens.input_ids)
    length = float(out.text_embeds.norm())
    embedding = Embedding(out.text_embeds.numpy(), "x", "text", ("a",))
    few = {**FEW, "prior_num_inference_steps": 2}
    ours = paint(karlo, **conditioning(karlo, embedding, prompt="a", norm=length), **few)
    theirs = paint(karlo, prompt="a", **few)
    assert np.abs(ours - theirs).max() < 2e-3
    sound = paint(karlo, **conditioning(karlo, rows(2)[0]), **few)
    assert not np.array_equal(sound, paint(karlo, **conditioning(karlo, rows(2)[1]), **few))
    two = conditioning(karlo, rows(2), num_images=2)
    assert two["text_model_output"][0].shape == (4, WIDTH)
    assert torch.equal(two["text_model_output"][0][0], two["text_model_output"][0][1])
    assert two["text_attention_mask"].shape == (4, 77)


def test_karlo_from_a_folder(karlo, tmp_path):
    karlo.save_pretrained(tmp_path)
    (tmp_path / "bindplug.json").write_text('{"space": "tiny"}')
    there = load(f"local:{tmp_path}", "cpu")
    assert there.size == 64 and there.family.REGION == "text"
    embedding = rows(1, space="tiny")
    picture = there.generate(embedding, seed=2, steps=2)[0]
    assert picture.size == (64, 64)
    few = {"decoder_num_inference_steps": 2, "decoder_guidance_scale": 3.0}
    torch.manual_seed(2)
    own = paint(karlo, 2, **conditioning(karlo, embedding), **few)
    assert np.abs(np.asarray(picture) / 255 - own[0]).max() < 3e-3
    with pytest.raises(BindplugError, match="has no noise level"):
        there.generate(embedding, noise_level=5)
    with pytest.raises(BindplugError, match="no negative prompt"):
        there.generate(embedding, negative_text="x")


@pytest.fixture(scope="module")
def cascade():
    from diffusers import DDPMWuerstchenScheduler, StableCascadePriorPipeline
    from diffusers.models import StableCascadeUNet

    torch.manual_seed(0)
    encoder, tokenizer = text_parts()
    prior = StableCascadeUNet(
        conditioning_dim=128, block_out_channels=(128, 128), num_attention_heads=(2, 2),
        down_num_layers_per_block=(1, 1), up_num_layers_per_block=(1, 1),
        switch_level=(False,), clip_image_in_channels=WIDTH, clip_text_in_channels=WIDTH,
        clip_text_pooled_in_channels=WIDTH, dropout=(0.1, 0.1),
    ).eval()  # fmt: skip
    return StableCascadePriorPipeline(
        prior=prior, text_encoder=encoder, tokenizer=tokenizer, scheduler=DDPMWuerstchenScheduler()
    )


def test_cascades_prior_equals_its_own_entry(cascade):
    cascade.set_progress_bar_config(disable=True)

    def run(**kwargs):
        generator = torch.Generator().manual_seed(0)
        out = cascade(num_inference_steps=2, height=256, width=256, generator=generator, **kwargs)
        return out.image_embeddings

    one = rows(2)[0]
    ours = run(**conditioning(cascade, one, prompt="a"))
    vector = torch.from_numpy(one.vectors * WIDTH**0.5)[:, None]
    assert torch.equal(ours, run(prompt="a", image_embeds=vector))
    assert not torch.equal(ours, run(**conditioning(cascade, rows(2)[1], prompt="a")))
    with pytest.raises(BindplugError, match="one embedding a call"):
        conditioning(cascade, rows(2))
    with pytest.raises(BindplugError, match="makes no pictures"):
        PipelineGenerator(cascade, "x")


@pytest.fixture(scope="module")
def sdxl():
    """SDXL's classes with an IP-Adapter made of the UNet's own shapes."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), attention_head_dim=(2, 4),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=64,
        use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )  # fmt: skip
    first, tokenizer = text_parts(projected=False)
    second, tokenizer_2 = text_parts()
    pipe = StableDiffusionXLPipeline(
        vae=AutoencoderKL(block_out_channels=[8], norm_num_groups=4), unet=unet,
        text_encoder=first, tokenizer=tokenizer, text_encoder_2=second, tokenizer_2=tokenizer_2,
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1), add_watermarker=False,
    )  # fmt: skip
    weights = {"image_proj": {"proj.weight": torch.randn(4 * 64, WIDTH) * 0.2,
                              "proj.bias": torch.zeros(4 * 64), "norm.weight": torch.ones(64),
                              "norm.bias": torch.zeros(64)}, "ip_adapter": {}}  # fmt: skip
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


def test_sdxl_equals_its_own_entry(sdxl):
    one, away = rows(2)[0], rows(2)[1]
    few = {"num_inference_steps": 2, "height": 32, "width": 32}
    vector = torch.from_numpy(one.vectors * 20)[:, None]
    ours = paint(sdxl, **conditioning(sdxl, one, prompt="a"), **few)
    own = [torch.cat([torch.zeros_like(vector), vector])]
    assert np.array_equal(ours, paint(sdxl, prompt="a", ip_adapter_image_embeds=own, **few))
    assert not np.array_equal(ours, paint(sdxl, **conditioning(sdxl, away, prompt="a"), **few))
    ours = paint(sdxl, **conditioning(sdxl, one, prompt="a", negative=away), **few)
    own = [torch.cat([torch.from_numpy(away.vectors * 20)[:, None], vector])]
    assert np.array_equal(ours, paint(sdxl, prompt="a", ip_adapter_image_embeds=own, **few))
    assert len(paint(sdxl, **conditioning(sdxl, one, num_images=2), **few)) == 2


@pytest.fixture(scope="module")
def reader(sdxl):
    """A text-to-image pipeline that knows no embedding."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), attention_head_dim=2,
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=WIDTH,
    )  # fmt: skip
    encoder, tokenizer = text_parts(projected=False)
    return StableDiffusionPipeline(
        vae=sdxl.vae, unet=unet, text_encoder=encoder, tokenizer=tokenizer,
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def test_any_text_to_image_pipeline_is_told_in_words(reader, media):
    tiny = bindplug.load_embedder("tiny", "cpu")
    rooster = tiny.embed(audio=str(media / "rooster.wav"))
    told = conditioning(reader, rooster, vocabulary=["rooster", "rain"])
    assert told == {"prompt": ["a picture of rooster"]}
    both = tiny.embed(text=["a red kite", "a cat"])
    told = conditioning(reader, both, prompt="an oil painting of {}", num_images=2)
    assert (
        told["prompt"] == ["an oil painting of a red kite"] * 2 + ["an oil painting of a cat"] * 2
    )
    assert conditioning(reader, both[0], prompt="at night")["prompt"] == [
        "a picture of a red kite, at night"
    ]
    few = {"num_inference_steps": 2, "height": 32, "width": 32}
    assert paint(reader, **told, **few).shape == (4, 32, 32, 3)
    with pytest.raises(BindplugError, match="no option 'norm_'"):
        conditioning(reader, both, norm_=3)
    with pytest.raises(BindplugError, match="3 prompts for 2 rows"):
        conditioning(reader, both, prompt=["a", "b", "c"])


def test_words_in_a_generator(reader, media):
    tiny = bindplug.load_embedder("tiny", "cpu")
    generator = PipelineGenerator(reader, "words")
    a, b = generator.generate(tiny.embed(text=["a", "a a"]), steps=2, height=32, width=32)
    assert a.size == (32, 32) and not np.array_equal(np.asarray(a), np.asarray(b))
    with pytest.raises(BindplugError, match="negative_prompt"):
        generator.generate(tiny.embed(text="a"), negative=tiny.embed(text="b"))
    with pytest.raises(BindplugError, match="no in-between"):
        generator.morph(tiny.embed(text="a"), tiny.embed(text="b"), 3)
