"""Step 3: the tiny Detic, on composed scenes, its classifier in the second space (tiny-clip).

python detic.py
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from augment import augment
from data import RUNS, Pictures, concepts
from detic_losses import detic_loss
from scenes import Scene, compose
from torch import Tensor, nn
from vision_text import SIZES, name_vectors, trained

from bindplug.training import Run, fit
from bindplug_detic import Detic, DeticConfig
from bindplug_detic.images import MEAN, STD

CONFIG = DeticConfig(
    backbone="resnet",
    depths=(1, 1, 1, 1),
    widths=(32, 64, 128, 192),
    fpn_width=64,
    fc_width=256,
    embed_dim=SIZES["tiny-clip"].embed_dim,
    mask_width=32,
    mask_convs=2,
)
WARM_STEPS, STEPS, BATCH = 1000, 1000, 12


def normalise(image: Tensor) -> Tensor:
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    return (image * 255 - mean) / std


def initialise(model: Detic) -> None:
    """Detic's own starting values for the convolutions that decide at once."""
    head = model.proposal_generator.centernet_head
    for conv in (*head.bbox_tower[::3], head.bbox_pred, head.agn_hm):
        nn.init.normal_(conv.weight, std=0.01)
        nn.init.zeros_(conv.bias)
    nn.init.constant_(head.bbox_pred.bias, 4.0)
    nn.init.constant_(head.agn_hm.bias, -4.595)  # -ln 99
    for predictor in model.roi_heads.box_predictor:
        nn.init.normal_(predictor.bbox_pred[2].weight, std=0.001)
        nn.init.zeros_(predictor.bbox_pred[2].bias)


class WarmUp(nn.Module):
    """The backbone as a classifier of single pictures into the text space."""

    def __init__(self, model: Detic):
        super().__init__()
        self.bottom_up = model.backbone.bottom_up
        self.head = nn.Linear(model.config.map_widths[-1], model.config.embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.head(self.bottom_up(x)[-1].mean((2, 3))), dim=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--warm-steps", type=int, default=WARM_STEPS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.manual_seed(args.seed + 200)
    pictures = Pictures("pictures.csv", "train", 128, concepts())
    vocab = Pictures("vocab.csv", "train", 64)
    names = pictures.names + vocab.names
    vectors = name_vectors(trained("tiny-clip", args.seed), names).to(device)
    model = Detic(CONFIG)
    initialise(model)
    model.to(device=device, memory_format=torch.channels_last)
    folder = RUNS / f"detic-{args.seed}"

    warm = WarmUp(model).to(device)
    small = Pictures("pictures.csv", "train", 64, concepts())
    known = torch.tensor([i for i, of in enumerate(vocab.of) if len(of)])
    everyone = torch.arange(len(small.names))

    def warm_loss(step: int, g: torch.Generator) -> Tensor:
        chosen = known[torch.randperm(len(known), generator=g)[:62]]
        rgba = torch.cat(
            [small.rgba[small.one_of_each(everyone, g)], vocab.rgba[vocab.one_of_each(chosen, g)]]
        )
        labels = torch.cat([everyone, chosen + len(everyone)]).to(device)
        x = normalise(augment(rgba, g, min(0.7, step / args.warm_steps))).to(device)
        return F.cross_entropy(20 * warm(x) @ vectors.T, labels)

    fit(
        warm,
        warm_loss,
        Run(folder / "warm", args.warm_steps, lr=2e-3, muon_lr=None, seed=args.seed),
        "detic backbone",
    )
    model.backbone.bottom_up.load_state_dict(warm.bottom_up.state_dict())
    sources = [(pictures, torch.arange(66)), (vocab, torch.arange(66, len(names)))]

    def loss_of_step(step: int, g: torch.Generator) -> Tensor:
        scenes = compose(sources, g, BATCH, strength=min(0.8, 0.3 + step / args.steps))
        used = torch.cat([torch.arange(66), *[s.labels for s in scenes]]).unique()
        place = torch.full((len(names),), -1)
        place[used] = torch.arange(len(used))
        x = normalise(torch.stack([s.image for s in scenes])).to(device)
        scenes = [
            Scene(s.image, s.boxes.to(device), place[s.labels].to(device), s.masks.to(device))
            for s in scenes
        ]
        x = x.to(memory_format=torch.channels_last)
        return detic_loss(model, x, scenes, vectors[used].T, g)

    run = Run(folder, args.steps, lr=1.2e-3, muon_lr=None, weight_decay=0.02, seed=args.seed)
    fit(model, loss_of_step, run, "tiny detic")
    torch.save(model.cpu().state_dict(), folder / "detic.pt")


if __name__ == "__main__":
    main()
