"""Step 5: the shipped unCLIP, a latent diffusion decoder of image embeddings, 96 x 96 pixels.

    python unclip.py

Writes an ordinary diffusers pipeline folder (StableUnCLIPImg2ImgPipeline), and beside it the bank
of image embeddings through which other modalities reach the region that the decoder knows.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from augment import Draw
from data import RUNS, Pictures, concepts
from features import SIZE as INPUT
from features import TRUNK
from image_text import train
from pipeline import LATENTS, SIDE, make_autoencoder, make_pipeline, make_unet, save
from torch import Tensor, nn
from trunks import image_trunk

from bindplug.models.small.image import scale
from bindplug.training import Run, cached, fit, step_generator

SIZE = 96  # pixels
CODER_STEPS, CODER_BATCH, STEPS, BATCH = 4000, 16, 5000, 48


def on_ground(rgba: Tensor, g: torch.Generator) -> Tensor:
    """(B, 3, S, S) float in [0, 1]: images with a margin, flipped by chance, on white."""
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


def resized(rgba: Tensor) -> Tensor:
    """(N, 4, s, s) to (N, 4, 96, 96) uint8."""
    out = []
    for x in rgba.split(256):
        x = F.interpolate(
            x.float(), size=(SIZE, SIZE), mode="bicubic", antialias=True, align_corners=False
        )
        out.append(x.round().clamp(0, 255).byte())
    return torch.cat(out)


@torch.inference_mode()
def image_vectors(heads: nn.Module, images: Tensor) -> Tensor:
    """(N, 3, 96, 96) in [0, 1] to (N, D) unit embeddings."""
    trunk = image_trunk(TRUNK)[0]
    out = []
    for x in images.split(64):
        large = F.interpolate(x, size=(INPUT, INPUT), mode="bicubic", align_corners=False)
        with torch.autocast("cpu", torch.bfloat16):
            features = trunk(scale(large.clamp(0, 1)))
        out.append(heads.images(features))
    return torch.cat(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--coder-steps", type=int, default=CODER_STEPS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    device, folder = torch.device(args.device), RUNS / f"unclip-{args.seed}"
    torch.manual_seed(args.seed + 300)
    pictures = Pictures("pictures.csv", "train", 128, concepts())
    vocab = Pictures("vocab.csv", "train", 64)
    everyone = torch.cat([resized(pictures.rgba), resized(vocab.rgba)])

    def batch(g: torch.Generator, count: int) -> Tensor:
        """Indices into `everyone`: 70 % concept images, concepts in equal shares."""
        names = torch.randint(len(pictures.names), (count * 7 // 10,), generator=g)
        other = torch.randint(len(vocab.rgba), (count - len(names),), generator=g)
        return torch.cat([pictures.one_of_each(names, g), other + len(pictures.rgba)])

    learner = CoderLoss(make_autoencoder()).to(device=device, memory_format=torch.channels_last)

    def coder_loss(step: int, g: torch.Generator) -> Tensor:
        x = on_ground(everyone[batch(g, CODER_BATCH)], g) * 2 - 1
        noise = torch.randn(CODER_BATCH, LATENTS, SIDE, SIDE, generator=g)
        with torch.autocast(device.type, torch.bfloat16):
            return learner(x.to(device, memory_format=torch.channels_last), noise.to(device))

    run = Run(folder / "coder", args.coder_steps, lr=1.5e-3, muon_lr=None, weight_decay=0.0)
    fit(learner, coder_loss, run, "autoencoder")
    coder = learner.coder

    heads = train("small", args.seed).heads

    def embeddings() -> dict[str, Tensor]:
        views = [
            image_vectors(heads, on_ground(everyone, step_generator(args.seed, i))) for i in (1, 2)
        ]
        return {"own": torch.stack(views)}

    own = cached(folder / "embeddings.safetensors", f"small-{args.seed} {SIZE}", embeddings)["own"]
    with torch.inference_mode():
        some = on_ground(everyone[::9], step_generator(args.seed, 1)) * 2 - 1
        latents = torch.cat([coder.encode(x.to(device)).latents for x in some.split(64)])
        coder.register_to_config(scaling_factor=float(1 / latents.std()))
        back = torch.cat([coder.decode(x).sample for x in latents.split(64)]).cpu()
        print(f"autoencoder: mean error {(back - some).abs().mean() / 2:.4f} of the range")
    means = image_bank(own[0], pictures, vocab)
    label = torch.cat([pictures.labels, vocab.labels + len(pictures.names)])
    width = own.shape[-1]
    unet = make_unet(width).to(device=device, memory_format=torch.channels_last)
    pipe = make_pipeline(coder, unet, width)
    steps = pipe.scheduler.config.num_train_timesteps
    signal = pipe.scheduler.alphas_cumprod
    # Min-SNR weights (Hang et al. 2023) of v-prediction, min(SNR, 5) / (SNR + 1), at little noise.
    # At much noise, where what is painted is decided, they fall to 0: there all steps weigh alike.
    weight_of = (5 * (1 - signal)).clamp(max=1)  # 5 / (SNR + 1), at most 1
    weight_of = (weight_of / weight_of.mean()).to(device)

    def loss_of_step(step: int, g: torch.Generator) -> Tensor:
        index = batch(g, BATCH)
        draw = Draw(BATCH, g)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            x = (on_ground(everyone[index], g) * 2 - 1).to(device)
            latents = coder.encode(x).latents.float() * coder.config.scaling_factor
        # From an image's own embedding to the mean of its name's images, both ends often:
        # what comes through a bank of embeddings lies between single images.
        share = draw.uniform(-0.7, 1.8, 1).clamp(0, 1)
        view = torch.randint(len(own), (BATCH,), generator=g)
        condition = torch.lerp(own[view, index], means[label[index]], share)
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
        with torch.autocast(device.type, torch.bfloat16):
            out = unet(noisy, t, text, class_labels=code).sample
        error = (out.float() - wanted).square().mean(dim=(1, 2, 3))
        return (weight_of[t] * error).mean()

    run = Run(
        folder, args.steps, lr=8e-4, muon_lr=None, weight_decay=0.01, ema=0.998, seed=args.seed
    )
    fit(unet, loss_of_step, run, "unclip")
    names = pictures.names + vocab.names
    save(pipe.to("cpu"), means, names, len(pictures.names), folder / "pipeline")


def image_bank(own: Tensor, pictures: Pictures, vocab: Pictures) -> Tensor:
    """(names, D) unit mean of the embeddings of each name's images."""
    offset = len(pictures.rgba)
    groups = list(pictures.of) + [of + offset for of in vocab.of]
    rows = [own[of].mean(0) if len(of) else own.mean(0) * 0 for of in groups]
    return F.normalize(torch.stack(rows), dim=-1)


if __name__ == "__main__":
    main()
