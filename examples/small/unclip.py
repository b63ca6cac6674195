"""Step 5: the shipped unCLIP, a latent diffusion decoder of image embeddings, 96 x 96 pixels.

    python unclip.py

Writes an ordinary diffusers pipeline folder (StableUnCLIPImg2ImgPipeline), and beside it the bank
of image embeddings through which other modalities reach the region that the decoder knows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from augment import Draw
from data import RUNS, Pictures, concepts
from diffusers.models.embeddings import get_timestep_embedding
from features import SIZE as INPUT
from features import TRUNK
from heads import fingerprint, image_vectors
from image_text import train
from pipeline import LATENTS, SIDE, make_autoencoder, make_pipeline, make_unet, save
from torch import Tensor, nn
from trunks import image_trunk

from bindplug.device import mixed_precision
from bindplug.training import Run, cached, fit, step_generator

SIZE = 96  # pixels
CODER_STEPS, CODER_BATCH, STEPS, BATCH = 4000, 32, 9000, 256
NOISED = 0.3  # share of the embeddings that get noise of a level below 400


def on_ground(rgba: Tensor, g: torch.Generator) -> Tensor:
    """(B, 4, S, S) uint8 to (B, 3, S, S) float in [0, 1] on the same device: images with a margin,
    flipped by chance, on white."""
    draw = Draw(len(rgba), g)
    zoom = draw.uniform(1.05, 1.25)
    theta = torch.zeros(len(rgba), 2, 3)
    theta[:, 0, 0] = torch.where(draw.chance(0.5), -zoom, zoom)
    theta[:, 1, 1] = zoom
    grid = F.affine_grid(theta.to(rgba.device), list(rgba.shape), align_corners=False)
    x = F.grid_sample(rgba.float() / 255, grid, align_corners=False)
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


def resized(rgba: Tensor) -> Tensor:
    """(N, 4, s, s) to (N, 4, 96, 96) uint8."""
    out = []
    for x in rgba.split(256):
        x = F.interpolate(
            x.float(), size=(SIZE, SIZE), mode="bicubic", antialias=True, align_corners=False
        )
        out.append(x.round().clamp(0, 255).byte())
    return torch.cat(out)


class Images:
    """The training images of the concepts and, after them, of the vocabulary, on a device.

    Attributes:
        rgba: (N, 4, 96, 96) uint8 premultiplied; `labels` (N,), index into `names`.
    """

    def __init__(self, device: torch.device):
        pictures = Pictures("pictures.csv", "train", 128, concepts())
        vocab = Pictures("vocab.csv", "train", 64)
        self.rgba = torch.cat([resized(pictures.rgba), resized(vocab.rgba)]).to(device)
        self.names, self.concepts = pictures.names + vocab.names, len(pictures.names)
        self.labels = torch.cat([pictures.labels, vocab.labels + self.concepts])
        self.first_other = len(pictures.rgba)
        self.groups = pictures.groups

    def draw(self, g: torch.Generator, count: int) -> Tensor:
        """Indices of images: 70 % of the concepts, in equal shares, the rest of the vocabulary."""
        names = torch.randint(self.concepts, (count * 7 // 10,), generator=g)
        other = torch.randint(
            self.first_other, len(self.labels), (count - len(names),), generator=g
        )
        return torch.cat([self.groups.draw(names, g), other])

    def means(self, vectors: Tensor) -> Tensor:
        """(N, D) embeddings of all images to (names, D) unit means; 0 for a name without images."""
        total = torch.zeros(len(self.names), vectors.shape[1])
        return F.normalize(total.index_add_(0, self.labels, vectors), dim=-1)


def train_autoencoder(images: Images, folder: Path, steps: int, batch: int) -> nn.Module:
    device = images.rgba.device
    learner = CoderLoss(make_autoencoder()).to(device=device, memory_format=torch.channels_last)

    def loss(step: int, g: torch.Generator) -> Tensor:
        x = on_ground(images.rgba[images.draw(g, batch).to(device)], g) * 2 - 1
        noise = torch.randn(batch, LATENTS, SIDE, SIDE, device=device)
        with mixed_precision(device):
            return learner(x.to(memory_format=torch.channels_last), noise)

    fit(learner, loss, Run(folder, steps, lr=1.5e-3, muon_lr=None, weight_decay=0.0), "autoencoder")
    coder = learner.coder
    with torch.inference_mode():
        some = on_ground(images.rgba[::9], step_generator(0, 1)) * 2 - 1
        latents = torch.cat([coder.encode(x).latents for x in some.split(64)])
        coder.register_to_config(scaling_factor=float(1 / latents.std()))
        back = torch.cat([coder.decode(x).sample for x in latents.split(64)])
        print(f"autoencoder: mean error {(back - some).abs().mean() / 2:.4f} of the range")
    return coder


@torch.inference_mode()
def embed(heads: nn.Module, images: Images, seed: int) -> dict[str, Tensor]:
    """Unit embeddings of two views of every image, (2, N, D), as "own"."""
    trunk, views = image_trunk(TRUNK).to(images.rgba.device), []
    for i in (1, 2):
        parts = []
        for x in on_ground(images.rgba, step_generator(seed, i)).split(64):
            large = F.interpolate(x, size=(INPUT, INPUT), mode="bicubic", align_corners=False)
            parts.append(image_vectors(trunk, heads, large.clamp(0, 1)))
        views.append(torch.cat(parts))
    return {"own": torch.stack(views)}


class Conditions:
    """What the UNet is told: an embedding between an image's own and the mean of its name's images,
    both ends often: what comes through a bank of embeddings lies between single images. One in ten
    is left out, for guidance.

    Args:
        own: (V, N, D) embeddings of the images' views; `means` (names, D).
        scheduler: of the noise that `StableUnCLIPImg2ImgPipeline` may add to an embedding.
    """

    def __init__(self, own: Tensor, means: Tensor, labels: Tensor, scheduler):
        self.own, self.means, self.labels, self.scheduler = own, means, labels, scheduler

    def draw(self, index: Tensor, g: torch.Generator) -> Tensor:
        """(B,) images to (B, 2 D): the noised embedding, and that of the noise's level."""
        draw, width = Draw(len(index), g), self.own.shape[-1]
        share = draw.uniform(-0.7, 1.8, 1).clamp(0, 1)
        view = torch.randint(len(self.own), (len(index),), generator=g)
        x = torch.lerp(self.own[view, index], self.means[self.labels[index]], share)
        x = F.normalize(x + 0.02 * draw.normal(width), dim=-1) * width**0.5
        level = torch.where(draw.chance(NOISED), draw.uniform(0, 400), 0.0).long()
        x = self.scheduler.add_noise(x, draw.normal(width), level)
        told = get_timestep_embedding(level, width, flip_sin_to_cos=True, downscale_freq_shift=0)
        return torch.where(draw.chance(0.1)[:, None], 0.0, torch.cat([x, told], 1))


def train_unet(pipe, images: Images, conditions: Conditions, run: Run, batch: int) -> None:
    coder, unet, scheduler = pipe.vae, pipe.unet, pipe.scheduler
    device, levels = images.rgba.device, scheduler.config.num_train_timesteps
    # Min-SNR weights (Hang et al. 2023) of v-prediction, min(SNR, 5) / (SNR + 1), at little noise.
    # At much noise, where what is painted is decided, they fall to 0: there all steps weigh alike.
    weight_of = (5 * (1 - scheduler.alphas_cumprod)).clamp(max=1)  # 5 / (SNR + 1), at most 1
    weight_of = (weight_of / weight_of.mean()).to(device)
    text = torch.zeros(batch, 1, unet.config.cross_attention_dim, device=device)

    def loss(step: int, g: torch.Generator) -> Tensor:
        index = images.draw(g, batch)
        with torch.no_grad(), mixed_precision(device):
            x = on_ground(images.rgba[index.to(device)], g) * 2 - 1
            latents = coder.encode(x).latents.float() * coder.config.scaling_factor
        code = conditions.draw(index, g).to(device)
        t = torch.randint(0, levels, (batch,), generator=g).to(device)
        noise = torch.randn_like(latents)
        noisy = scheduler.add_noise(latents, noise, t).to(memory_format=torch.channels_last)
        with mixed_precision(device):
            out = unet(noisy, t, text, class_labels=code).sample
        error = out.float() - scheduler.get_velocity(latents, noise, t)
        return (weight_of[t] * error.square().mean(dim=(1, 2, 3))).mean()

    fit(unet, loss, run, "unclip")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--batch-size", type=int, default=BATCH)
    parser.add_argument("--coder-steps", type=int, default=CODER_STEPS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    folder = RUNS / f"unclip-{args.seed}"
    torch.manual_seed(args.seed + 300)
    images = Images(torch.device(args.device))
    coder = train_autoencoder(images, folder / "coder", args.coder_steps, CODER_BATCH)
    heads = train("small", args.seed).heads
    own = cached(
        folder / "embeddings.safetensors",
        f"{fingerprint(heads)} {SIZE}",
        lambda: embed(heads, images, args.seed)
    )["own"]  # fmt: skip
    means, width = images.means(own[0]), own.shape[-1]
    unet = make_unet(width).to(device=args.device, memory_format=torch.channels_last)
    pipe = make_pipeline(coder, unet, width)
    conditions = Conditions(own, means, images.labels, pipe.image_noising_scheduler)
    run = Run(
        folder, args.steps, lr=8e-4, muon_lr=None, weight_decay=0.01, ema=0.9995, seed=args.seed
    )
    train_unet(pipe, images, conditions, run, args.batch_size)
    save(pipe.to("cpu"), means, images.names, images.concepts, folder / "pipeline")


if __name__ == "__main__":
    main()
