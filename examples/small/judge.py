"""An image classifier of the 66 concepts, trained apart from every embedder: the judge of
generated images. It is not shipped.

    python judge.py
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from augment import augment
from data import RUNS, Pictures, concepts
from PIL import Image
from torch import Tensor, nn
from workers import Batches

from bindplug.training import Groups, Run, fit
from bindplug.transforms.vision import normalise

SIDE = 64  # pixels


def make_judge() -> nn.Module:
    from timm.models import resnet

    return resnet.ResNet(
        resnet.BasicBlock, (1, 1, 1, 1), channels=(32, 64, 128, 256), num_classes=66
    )


def load_judge() -> nn.Module:
    model = make_judge()
    model.load_state_dict(torch.load(RUNS / "judge" / "judge.pt", weights_only=True))
    return model.eval()


@torch.inference_mode()
def likeliest(judge: nn.Module, pictures: list) -> Tensor:
    """(N, 5) indices of the likeliest concepts of PIL images, seen at 64 x 64 pixels."""
    small = [p.resize((SIDE, SIDE), Image.Resampling.BOX) for p in pictures]
    x = torch.stack([torch.from_numpy(np.array(p)) for p in small]).permute(0, 3, 1, 2)
    return judge(normalise(x.float() / 255)).topk(5, dim=1).indices


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.manual_seed(9)
    pictures = Pictures("pictures.csv", None, SIDE, concepts())  # every style, openmoji too
    held = torch.rand(len(pictures.rgba), generator=torch.Generator().manual_seed(3)) < 0.1
    of = Groups([of[~held[of]].tolist() for of in pictures.of])
    model = make_judge().to(device=args.device, memory_format=torch.channels_last)
    everyone = torch.arange(len(pictures.names)).repeat(2)
    labels = everyone.to(args.device)

    def draw(step: int, g: torch.Generator) -> Tensor:
        return augment(pictures.rgba[of.draw(everyone, g)], g, min(0.5, step / args.steps))

    batches = Batches(draw, 9, args.steps)

    def loss_of_step(step: int, g: torch.Generator) -> Tensor:
        x = normalise(batches(step)).to(args.device, memory_format=torch.channels_last)
        return F.cross_entropy(model(x), labels, label_smoothing=0.1)

    run = Run(RUNS / "judge", args.steps, lr=3e-3, muon_lr=None, weight_decay=0.05, ema=0.99)
    fit(model, loss_of_step, run, "judge")
    model.cpu()
    torch.save(model.state_dict(), RUNS / "judge" / "judge.pt")
    with torch.inference_mode():
        out = model(normalise(pictures.on_white(held))).argmax(1)
    print(f"pictures kept aside: {(out == pictures.labels[held]).float().mean():.3f}")


if __name__ == "__main__":
    main()
