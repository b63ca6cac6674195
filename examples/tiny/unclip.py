"""Step 4: the tiny unCLIP, a latent diffusion decoder of image embeddings.

    python unclip.py

Writes an ordinary diffusers pipeline folder (StableUnCLIPImg2ImgPipeline), and beside it the
memory of image embeddings through which other modalities reach the region that the decoder knows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from augment import Draw
from data import RUNS, Pictures, concepts
from torch import Tensor, nn
from vision_text import trained

from bindplug.training import Run, fit, step_generator
from bindplug.transforms.vision import normalise

LATENTS, SIDE = 24, 8  # channels and side of the latent image
PROMPT_WIDTH = 8
CODER_STEPS, CODER_BATCH, STEPS, BATCH = 2400, 32, 3300, 64


def make_autoencoder():
    """AutoencoderTiny (TAESD's class): without norms it keeps plain colours plain, and is quick."""
    from diffusers import AutoencoderTiny

    return AutoencoderTiny(
        encoder_block_out_channels=(32,) * 4,
        decoder_block_out_channels=(32,) * 4,
        num_encoder_blocks=(0, 1, 2, 2),
        num_decoder_blocks=(2, 2, 1, 0),
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
        block_out_channels=[96, 192],
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


def on_ground(rgba: Tensor, g: torch.Generator) -> Tensor:
    """(B, 3, 64, 64) float in [0, 1]: images with a margin, flipped by chance, on white."""
    draw = Draw(len(rgba), g)
    x = rgba.float() / 255
    flip = draw.chance(0.5)[:, None, None, None]
    x = torch.where(flip, x.flip(-1), x)
    zoom = draw.uniform(1.05, 1.25)
    theta = torch.zeros(len(x), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = zoom
    x = F.grid_sample(
        x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False
    )
    return x[:, :3] + 1 - x[:, 3:]


class CoderLoss(nn.Module):
    """Images through the latents and back; the noise makes the decoder forgiving."""

    def __init__(self, coder):
        super().__init__()
        self.coder = coder

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        latents = self.coder.encode(x).latents
        out = self.coder.decode(latents + 0.05 * noise).sample
        edges = sum(F.l1_loss(out.diff(dim=d), x.diff(dim=d)) for d in (2, 3))
        return F.l1_loss(out, x) + F.mse_loss(out, x) + edges + 1e-3 * latents.square().mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--coder-steps", type=int, default=CODER_STEPS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    device, folder = torch.device(args.device), RUNS / f"unclip-{args.seed}"
    torch.manual_seed(args.seed + 300)
    pictures = Pictures("pictures.csv", "train", 64, concepts())
    vocab = Pictures("vocab.csv", "train", 64)
    everyone = torch.cat([pictures.rgba, vocab.rgba])

    def batch(g: torch.Generator, count: int) -> Tensor:
        """Indices into `everyone`: 60 % concept images, concepts in equal shares."""
        names = torch.randint(len(pictures.names), (count * 6 // 10,), generator=g)
        other = torch.randint(len(vocab.rgba), (count - len(names),), generator=g)
        return torch.cat([pictures.one_of_each(names, g), other + len(pictures.rgba)])

    learner = CoderLoss(make_autoencoder()).to(device=device, memory_format=torch.channels_last)

    def coder_loss(step: int, g: torch.Generator) -> Tensor:
        x = on_ground(everyone[batch(g, CODER_BATCH)], g) * 2 - 1
        noise = torch.randn(CODER_BATCH, LATENTS, SIDE, SIDE, generator=g)
        return learner(x.to(device, memory_format=torch.channels_last), noise.to(device))

    run = Run(folder / "coder", args.coder_steps, lr=2e-3, muon_lr=None, weight_decay=0.0)
    fit(learner, coder_loss, run, "autoencoder")
    coder = learner.coder

    imagebind = trained("tiny", args.seed)
    with torch.inference_mode():
        g = step_generator(args.seed, 1)
        x = on_ground(everyone, g)
        parts = [imagebind({"vision": normalise(p)})["vision"] for p in x.split(256)]
        own = torch.cat(parts).clone()
        some = x[::9] * 2 - 1
        latents = coder.encode(some.to(device)).latents
        coder.register_to_config(scaling_factor=float(1 / latents.std()))
        back = coder.decode(latents).sample.cpu()
        print(f"autoencoder: mean error {(back - some).abs().mean() / 2:.4f} of the range")
    means = memory(own, pictures, vocab)
    label = torch.cat([pictures.labels, vocab.labels + len(pictures.names)])
    width = own.shape[1]
    unet = make_unet(width).to(device=device, memory_format=torch.channels_last)
    pipe = make_pipeline(coder, unet, width)
    steps = pipe.scheduler.config.num_train_timesteps

    def loss_of_step(step: int, g: torch.Generator) -> Tensor:
        index = batch(g, BATCH)
        draw = Draw(BATCH, g)
        with torch.no_grad():
            x = (on_ground(everyone[index], g) * 2 - 1).to(device)
            latents = coder.encode(x).latents * coder.config.scaling_factor
        # From an image's own embedding to the mean of its name's images, both ends often:
        # what comes through a memory of embeddings lies between single images.
        share = draw.uniform(-0.7, 1.8, 1).clamp(0, 1)
        condition = torch.lerp(own[index], means[label[index]], share)
        condition = F.normalize(condition + 0.02 * draw.normal(width), dim=-1) * width**0.5
        level = torch.where(draw.chance(0.7), 0.0, draw.uniform(0, 400)).long()
        code = torch.stack(
            [
                pipe.noise_image_embeddings(c[None], int(n), noise=z[None])[0]
                for c, n, z in zip(condition, level, draw.normal(width), strict=True)
            ]
        )
        code = torch.where(draw.chance(0.1)[:, None], 0.0, code).to(device)
        t = torch.randint(0, steps, (BATCH,), generator=g).to(device)
        noise = torch.randn(latents.shape, generator=g).to(device)
        noisy = pipe.scheduler.add_noise(latents, noise, t)
        wanted = pipe.scheduler.get_velocity(latents, noise, t)
        noisy = noisy.to(memory_format=torch.channels_last)
        text = torch.zeros(BATCH, 1, unet.config.cross_attention_dim, device=device)
        return F.mse_loss(unet(noisy, t, text, class_labels=code).sample, wanted)

    run = Run(
        folder, args.steps, lr=8e-4, muon_lr=None, weight_decay=0.01, ema=0.998, seed=args.seed
    )
    fit(unet, loss_of_step, run, "tiny unclip")
    names = pictures.names + vocab.names
    save(pipe.to("cpu"), means, names, len(pictures.names), folder / "pipeline")


def memory(own: Tensor, pictures: Pictures, vocab: Pictures) -> Tensor:
    """(names, D) unit mean of the embeddings of each name's images."""
    offset = len(pictures.rgba)
    groups = list(pictures.of) + [of + offset for of in vocab.of]
    rows = [own[of].mean(0) if len(of) else own.mean(0) * 0 for of in groups]
    return F.normalize(torch.stack(rows), dim=-1)


def save(pipe, means: Tensor, names: list[str], sounding: int, folder: Path) -> None:
    """The pipeline in float16 safetensors, and `memory.safetensors` with its names."""
    import json

    from safetensors.torch import save_file

    for part in (pipe.vae, pipe.unet, pipe.image_encoder, pipe.text_encoder):
        part.half()
    pipe.save_pretrained(folder, safe_serialization=True)
    kept = means.norm(dim=1) > 0
    save_file({"vectors": means[kept].half()}, folder / "memory.safetensors")
    known = [n for n, k in zip(names, kept.tolist(), strict=True) if k]
    metadata = {"sounding": sounding, "names": known}
    (folder / "memory.json").write_text(json.dumps(metadata, indent=0) + "\n")


if __name__ == "__main__":
    main()
