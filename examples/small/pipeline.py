"""The diffusers pipeline around the autoencoder and the UNet of the shipped unCLIP."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

LATENTS, SIDE = 16, 12  # channels and side of the latent image
PROMPT_WIDTH = 8


def make_autoencoder():
    """AutoencoderTiny (TAESD's class): without norms it keeps plain colours plain, and is quick."""
    from diffusers import AutoencoderTiny

    return AutoencoderTiny(
        encoder_block_out_channels=(40,) * 4,
        decoder_block_out_channels=(40,) * 4,
        num_encoder_blocks=(0, 1, 2, 2),
        num_decoder_blocks=(3, 2, 1, 0),
        latent_channels=LATENTS,
    )


def make_unet(width: int):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=LATENTS,
        out_channels=LATENTS,
        down_block_types=["DownBlock2D", "AttnDownBlock2D"],
        mid_block_type="UNetMidBlock2D",
        up_block_types=["AttnUpBlock2D", "UpBlock2D"],
        block_out_channels=[112, 224],
        layers_per_block=2,
        attention_head_dim=32,
        norm_num_groups=16,
        cross_attention_dim=PROMPT_WIDTH,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=2 * width,
    )


def byte_tokenizer():
    """CLIP's tokenizer without merges: one token a byte."""
    from transformers import CLIPTokenizer

    from bindplug.transforms.text import Tokenizer

    words = Tokenizer(vocab_size=514).ids
    vocab = {**words, "<|startoftext|>": 512, "<|endoftext|>": 513}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def make_pipeline(coder, unet, width: int):
    """The pipeline around the two trained models.

    The UNet has no cross-attention: prompts do not reach it. The pipeline class wants a text and
    an image encoder to be there all the same, so placeholders of the smallest size are put in.
    """
    from diffusers import DDIMScheduler, DDPMScheduler, StableUnCLIPImg2ImgPipeline
    from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer
    from transformers import (
        CLIPImageProcessor,
        CLIPTextConfig,
        CLIPTextModel,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    schedule = {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 1000}
    smallest = {
        "hidden_size": PROMPT_WIDTH,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    vision = CLIPVisionConfig(**smallest, image_size=8, patch_size=8, projection_dim=width)
    tokenizer = byte_tokenizer()
    text = CLIPTextConfig(
        **smallest,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return StableUnCLIPImg2ImgPipeline(
        feature_extractor=CLIPImageProcessor(size=8, crop_size=8),
        image_encoder=CLIPVisionModelWithProjection(vision),
        image_normalizer=StableUnCLIPImageNormalizer(embedding_dim=width),
        image_noising_scheduler=DDPMScheduler(**schedule),
        tokenizer=tokenizer,
        text_encoder=CLIPTextModel(text),
        unet=unet,
        scheduler=DDIMScheduler(
            **schedule,
            prediction_type="v_prediction",
            clip_sample=False,
            timestep_spacing="trailing",
        ),
        vae=coder,
    )


def save(pipe, means: Tensor, names: list[str], sounding: int, folder: Path) -> None:
    """The pipeline in float16 safetensors, and `memory.safetensors` with its names."""
    from safetensors.torch import save_file

    for part in (pipe.vae, pipe.unet, pipe.image_encoder, pipe.text_encoder):
        part.half()
    pipe.save_pretrained(folder, safe_serialization=True)
    kept = means.norm(dim=1) > 0
    save_file({"vectors": means[kept].half()}, folder / "memory.safetensors")
    known = [n for n, k in zip(names, kept.tolist(), strict=True) if k]
    metadata = {"sounding": sounding, "names": known}
    (folder / "memory.json").write_text(json.dumps(metadata, indent=0) + "\n")
