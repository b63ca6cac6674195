"""Step 3: the tiny Detic, on composed scenes, its classifier in the second space (tiny-clip).

python detic.py
"""

from __future__ import annotations

import argparse

import torch
from data import RUNS, Pictures, concepts
from detic_losses import class_loss, detic_loss
from mosaics import Mosaics
from scenes import Scene, compose
from torch import Tensor, nn
from vision_text import SIZES, name_vectors, trained

from bindplug.training import Run, fit
from bindplug_detic import Detic, DeticConfig
from bindplug_detic.images import MEAN, STD

CONFIG = DeticConfig(
    backbone="resnet",
    depths=(1, 1, 2, 1),
    widths=(32, 64, 128, 256),
    fpn_width=64,
    fc_width=256,
    embed_dim=SIZES["tiny-clip"].embed_dim,
    mask_width=32,
    mask_convs=2,
)
CLASS_STEPS, CLASS_BATCH = 1700, 12  # mosaics a step
COSINES = ((650, 1e-3), (340, 6e-4), (1400, 8e-4))  # on scenes: steps, peak learning rate
BATCH, REMINDER = 8, 8  # scenes a step, and mosaics that keep the classes in mind


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


def freeze_norms(model: Detic) -> None:
    """Batch norms keep their statistics from the mosaics, as Detic's keep ImageNet's."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--class-steps", type=int, default=CLASS_STEPS)
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

    mosaics = Mosaics(Pictures("pictures.csv", "train", 64, concepts()), pictures, vocab)

    def loss_on_mosaics(g: torch.Generator, count: int, hard_share: float) -> Tensor:
        x, boxes, labels = mosaics.draw(g, count, hard_share)
        x = normalise(x).to(device, memory_format=torch.channels_last)
        boxes = [b.to(device) for b in boxes]
        return class_loss(model, x, boxes, labels.to(device), vectors.T, g)

    def loss_of_classes(step: int, g: torch.Generator) -> Tensor:
        return loss_on_mosaics(g, CLASS_BATCH, min(0.75, step / args.class_steps))

    run = Run(folder / "classes", args.class_steps, lr=2e-3, muon_lr=None, seed=args.seed)
    fit(model, loss_of_classes, run, "tiny detic, classes")
    sources = [(pictures, torch.arange(66)), (vocab, torch.arange(66, len(names)))]

    def loss_on_scenes(g: torch.Generator, strength: float) -> Tensor:
        freeze_norms(model)  # `fit` puts everything into training mode
        scenes = compose(sources, g, BATCH, strength, most=6)
        used = torch.cat([torch.arange(66), *[s.labels for s in scenes]]).unique()
        place = torch.full((len(names),), -1)
        place[used] = torch.arange(len(used))
        x = normalise(torch.stack([s.image for s in scenes])).to(device)
        scenes = [
            Scene(s.image, s.boxes.to(device), place[s.labels].to(device), s.masks.to(device))
            for s in scenes
        ]
        x = x.to(memory_format=torch.channels_last)
        loss = detic_loss(model, x, scenes, vectors[used].T, g)
        return loss + loss_on_mosaics(g, REMINDER, 0.75)

    for i, (steps, lr) in enumerate(COSINES):

        def loss_of_scenes(step: int, g: torch.Generator, at_once=i > 0, steps=steps) -> Tensor:
            return loss_on_scenes(g, 0.7 if at_once else min(0.8, 0.3 + step / steps))

        run = Run(
            folder / f"scenes-{i}", steps, lr, muon_lr=None, weight_decay=0.02, seed=args.seed + i
        )
        fit(model, loss_of_scenes, run, f"tiny detic, scenes {i}")
    torch.save(model.cpu().state_dict(), folder / "detic.pt")


if __name__ == "__main__":
    main()
