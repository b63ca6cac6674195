"""Pipelines of diffusers' own classes, small and random, one of each family.

`width` is that of the embedding that a pipeline takes.
"""

import torch

VOCAB = {"a</w>": 0, "<|startoftext|>": 1, "<|endoftext|>": 2}


def ip_adapter(pipe, width, attention):
    """The state dict of an IP-Adapter with four tokens of the UNet's cross-attention width
    (`attention`), of its own shapes."""
    norm = {"norm.weight": torch.ones(attention), "norm.bias": torch.zeros(attention)}
    projection = {"proj.weight": torch.randn(4 * attention, width) * 0.2,
                  "proj.bias": torch.zeros(4 * attention), **norm}  # fmt: skip
    weights = {"image_proj": projection, "ip_adapter": {}}
    key = 1
    for name in pipe.unet.attn_processors:
        if name.endswith("attn2.processor"):
            module = pipe.unet.get_submodule(name.removesuffix(".processor"))
            for which in ("k", "v"):
                shape = getattr(module, f"to_{which}").weight.shape
                weights["ip_adapter"][f"{key}.to_{which}_ip.weight"] = torch.randn(shape) * 0.3
            key += 2
    return weights


def add_ip_adapter(pipe, width):
    adapter = ip_adapter(pipe, width, pipe.unet.config.cross_attention_dim)
    pipe.unet._load_ip_adapter_weights([adapter])
    pipe.set_ip_adapter_scale(1.0)
    return pipe


def text_parts(width, projected=True):
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


def karlo_parts(width):
    from diffusers import UNet2DConditionModel, UNet2DModel
    from diffusers.pipelines.deprecated.unclip import UnCLIPTextProjModel
    from diffusers.schedulers import UnCLIPScheduler

    torch.manual_seed(0)
    encoder, tokenizer = text_parts(width)
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
        clip_embeddings_dim=width, time_embed_dim=128, cross_attention_dim=32,
        clip_extra_context_tokens=2,
    )  # fmt: skip
    scheduler = {"prediction_type": "epsilon", "num_train_timesteps": 1000}
    return {
        "decoder": decoder, "text_encoder": encoder, "tokenizer": tokenizer,
        "text_proj": projection, "super_res_first": upscale(), "super_res_last": upscale(),
        "decoder_scheduler": UnCLIPScheduler(variance_type="learned_range", **scheduler),
        "super_res_scheduler": UnCLIPScheduler(variance_type="fixed_small_log", **scheduler),
    }  # fmt: skip


def kandinsky(width, levels=2):
    """`levels` of its autoencoder; the released one has four, so that a latent is 8 x 8 pixels."""
    from diffusers import DDIMScheduler, KandinskyV22Pipeline, UNet2DConditionModel, VQModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=8, addition_embed_type="image",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", block_out_channels=(32, 64),
        layers_per_block=1, encoder_hid_dim=width, encoder_hid_dim_type="image_proj",
        cross_attention_dim=32, attention_head_dim=4, resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    movq = VQModel(
        block_out_channels=[32] * levels, down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels, layers_per_block=1,
        latent_channels=4, num_vq_embeddings=12, vq_embed_dim=4, norm_type="spatial",
    )  # fmt: skip
    scheduler = DDIMScheduler(clip_sample=False)
    return KandinskyV22Pipeline(unet=unet, scheduler=scheduler, movq=movq)


def stable_diffusion():
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
    return pipe


def variation(width):
    from diffusers import UnCLIPImageVariationPipeline
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    vision = CLIPVisionConfig(
        hidden_size=32, projection_dim=width, num_hidden_layers=1, num_attention_heads=2,
        image_size=32, intermediate_size=8, patch_size=8,
    )  # fmt: skip
    return UnCLIPImageVariationPipeline(
        **karlo_parts(width), image_encoder=CLIPVisionModelWithProjection(vision).eval(),
        feature_extractor=CLIPImageProcessor(crop_size=32, size=32),
    )  # fmt: skip


def karlo(width):
    from diffusers import PriorTransformer, UnCLIPPipeline
    from diffusers.schedulers import UnCLIPScheduler

    torch.manual_seed(1)
    prior = PriorTransformer(
        num_attention_heads=2, attention_head_dim=12, embedding_dim=width, num_layers=1
    )
    prior.clip_std = torch.nn.Parameter(torch.ones(1, width))
    scheduler = UnCLIPScheduler(
        variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=5.0
    )
    return UnCLIPPipeline(**karlo_parts(width), prior=prior, prior_scheduler=scheduler)


def cascade(width):
    from diffusers import DDPMWuerstchenScheduler, StableCascadePriorPipeline
    from diffusers.models import StableCascadeUNet

    torch.manual_seed(0)
    encoder, tokenizer = text_parts(width)
    prior = StableCascadeUNet(
        conditioning_dim=128, block_out_channels=(128, 128), num_attention_heads=(2, 2),
        down_num_layers_per_block=(1, 1), up_num_layers_per_block=(1, 1),
        switch_level=(False,), clip_image_in_channels=width, clip_text_in_channels=width,
        clip_text_pooled_in_channels=width, dropout=(0.1, 0.1),
    ).eval()  # fmt: skip
    return StableCascadePriorPipeline(
        prior=prior, text_encoder=encoder, tokenizer=tokenizer, scheduler=DDPMWuerstchenScheduler()
    )


def sdxl():
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
    first, tokenizer = text_parts(32, projected=False)
    second, tokenizer_2 = text_parts(32)
    pipe = StableDiffusionXLPipeline(
        vae=AutoencoderKL(block_out_channels=[8], norm_num_groups=4), unet=unet,
        text_encoder=first, tokenizer=tokenizer, text_encoder_2=second, tokenizer_2=tokenizer_2,
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1), add_watermarker=False,
    )  # fmt: skip
    return pipe


def reader(vae):
    """A text-to-image pipeline that knows no embedding."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), attention_head_dim=2,
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=32,
    )  # fmt: skip
    encoder, tokenizer = text_parts(32, projected=False)
    return StableDiffusionPipeline(
        vae=vae, unet=unet, text_encoder=encoder, tokenizer=tokenizer,
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def stable_unclip(width):
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        DDPMScheduler,
        StableUnCLIPImg2ImgPipeline,
        UNet2DConditionModel,
    )
    from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer
    from transformers import (
        CLIPImageProcessor,
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTokenizer,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
             "num_attention_heads": 1}  # fmt: skip
    ids = {"vocab_size": 3, "bos_token_id": 1, "eos_token_id": 2}
    return StableUnCLIPImg2ImgPipeline(
        feature_extractor=CLIPImageProcessor(),
        image_encoder=CLIPVisionModelWithProjection(
            CLIPVisionConfig(**sizes, image_size=8, patch_size=8, projection_dim=width)
        ),
        image_normalizer=StableUnCLIPImageNormalizer(embedding_dim=width),
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        tokenizer=CLIPTokenizer(vocab=VOCAB, merges=[], model_max_length=77),
        text_encoder=CLIPTextModel(CLIPTextConfig(**sizes, **ids)),
        unet=UNet2DConditionModel(
            sample_size=16,
            down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
            up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
            block_out_channels=[16, 32],
            layers_per_block=1,
            attention_head_dim=8,
            norm_num_groups=8,
            cross_attention_dim=8,
            class_embed_type="projection",
            projection_class_embeddings_input_dim=2 * width,
        ),
        scheduler=DDIMScheduler(prediction_type="v_prediction", clip_sample=False),
        vae=AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 2,
            up_block_types=["UpDecoderBlock2D"] * 2,
            block_out_channels=[8, 8],
            norm_num_groups=4,
        ),
    )
