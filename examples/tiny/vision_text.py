"""Step 1: image and text towers of a space, by contrastive learning of images and names.

python vision_text.py tiny           # the embedded ImageBind's own towers
python vision_text.py tiny-clip      # the second space, in which the tiny Detic classifies
"""

from __future__ import annotations

import argparse

import torch
from augment import augment
from data import RUNS, Pictures, concepts, texts_of

from bindplug.imagebind import AudioConfig, ImageBind, ImageBindConfig, TextConfig, VisionConfig
from bindplug.training import (
    Run,
    encode_short_text,
    encode_with_fewer_tokens,
    fit,
    info_nce,
    mimetic_init,
    sine_cosine,
    step_generator,
    whitening_filters,
)
from bindplug.transforms.text import transform_text
from bindplug.transforms.vision import normalise

NONE = {"depth": None, "thermal": None, "imu": None}
TEXT = {"heads": 4, "depth": 2, "context_length": 32, "vocab_size": 8194}
SIZES = {
    "tiny": ImageBindConfig(
        embed_dim=128,
        vision=VisionConfig(width=128, depth=4, heads=4, image_size=64, patch_size=8),
        text=TextConfig(width=96, **TEXT),
        audio=AudioConfig(width=128, depth=4, heads=4, drop_path=0.1),
        **NONE,
    ),
    "tiny-clip": ImageBindConfig(
        embed_dim=96,
        vision=VisionConfig(width=96, depth=3, heads=4, image_size=64, patch_size=8),
        text=TextConfig(width=64, **TEXT),
        audio=None,
        **NONE,
    ),
}
STEPS = {"tiny": 4000, "tiny-clip": 2000}


def trained(space: str, seed: int) -> ImageBind:
    """The image and text towers that this script made, in evaluation mode."""
    model = ImageBind(SIZES[space], modalities=["vision", "text"])
    path = RUNS / f"{space}-{seed}" / "vision_text.pt"
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


@torch.no_grad()
def name_vectors(model: ImageBind, names: list[str]) -> torch.Tensor:
    """(N, D) unit text embeddings of names, each the mean over its templates."""
    rows = [
        model({"text": transform_text(texts_of(n)[0], model.config.text)})["text"].mean(0)
        for n in names
    ]
    return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


def start(config: ImageBindConfig, sample: torch.Tensor) -> ImageBind:
    """A fresh image and text model whose image tower starts from sample images' statistics."""
    model = ImageBind(config, modalities=["vision", "text"])
    for trunk in model.modality_trunks.values():
        mimetic_init(trunk)
    c, stem = config.vision, model.modality_preprocessors["vision"]
    patches = sample.unfold(2, c.patch_size, c.patch_size).unfold(3, c.patch_size, c.patch_size)
    patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * c.patch_size**2)
    filters = whitening_filters(patches, c.width).view(c.width, 3, 1, c.patch_size, c.patch_size)
    side = c.image_size // c.patch_size
    grid = torch.cartesian_prod(torch.arange(side), torch.arange(side)).float()
    with torch.no_grad():
        stem.rgbt_stem.proj[1].weight.copy_(filters.expand(-1, -1, c.frames, -1, -1) / c.frames)
        stem.pos_embedding_helper.pos_embed[0, 1:].add_(sine_cosine(grid, c.width))
    return model


class Texts:
    """Token ids of every training text of a list of names."""

    def __init__(self, names: list[str], config: TextConfig):
        self.own, self.other = [], []
        for name in names:
            own, other = texts_of(name)
            self.own.append(transform_text(own, config))
            self.other.append(transform_text(other, config))

    def draw(self, names: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        rows = []
        for n, r, s in zip(names, *torch.rand(2, len(names), generator=generator), strict=True):
            ids = self.other[n] if s < 0.2 else self.own[n]
            rows.append(ids[int(r * len(ids))])
        return torch.stack(rows)


@torch.inference_mode()
def evaluate(model: ImageBind, pictures: Pictures) -> tuple[float, float]:
    """Top-1 and top-5 of naming images on white among all names, templates averaged."""
    text = name_vectors(model, pictures.names)
    vision = torch.cat(
        [model({"vision": normalise(x)})["vision"] for x in pictures.on_white().split(256)]
    )
    best = (vision @ text.T).topk(5, dim=-1).indices == pictures.labels[:, None]
    return best[:, 0].float().mean().item(), best.any(-1).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("space", choices=SIZES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    steps = args.steps or STEPS[args.space]
    config, device = SIZES[args.space], torch.device(args.device)
    torch.manual_seed(args.seed)
    train, val = (Pictures("pictures.csv", s, 64, concepts()) for s in ("train", "val"))
    vocab = Pictures("vocab.csv", "train", 64)
    sample = normalise(augment(train.rgba[::3], step_generator(0, 0), 0.5))
    model = start(config, sample).to(device)
    texts, vocab_texts = Texts(train.names, config.text), Texts(vocab.names, config.text)
    known = torch.tensor([i for i, of in enumerate(vocab.of) if len(of)])
    everyone = torch.arange(len(train.names))

    def loss_of_step(step: int, g: torch.Generator) -> torch.Tensor:
        done = step / steps
        names = known[torch.randperm(len(known), generator=g)[:44]]
        rgba = [train.rgba[train.one_of_each(everyone, g)] for _ in range(2)]
        rgba.append(vocab.rgba[vocab.one_of_each(names, g)])
        image = normalise(augment(torch.cat(rgba), g, hard_share=min(0.7, 1.2 * done)))
        ids = torch.cat([texts.draw(everyone, g), vocab_texts.draw(names, g)])
        keep = 0.3 if done < 0.88 else 1.0
        a = encode_with_fewer_tokens(model, "vision", image.to(device), keep, g)
        b = encode_short_text(model, ids.to(device))
        scale = model.modality_postprocessors["text"][1].log_logit_scale.exp().clamp(max=100)
        first, second, more = a.split([66, 66, 44])
        return (
            info_nce(torch.cat([first, more]), b, scale)
            + info_nce(torch.cat([second, more]), b, scale)
        ) / 2

    folder = RUNS / f"{args.space}-{args.seed}"
    fit(model, loss_of_step, Run(folder, steps, seed=args.seed), f"{args.space} image-text")
    model.cpu()
    torch.save(model.state_dict(), folder / "vision_text.pt")
    print(f"train pictures on white: top-1 {evaluate(model, train)[0]:.3f}")
    print("unseen style: top-1 {:.3f}, top-5 {:.3f}".format(*evaluate(model, val)))


if __name__ == "__main__":
    main()
