"""The image head of a packed `small`, trained further against that embedder's own texts.

python image_head.py FOLDER

FOLDER is one of package.py's, or the repository. Its weights are replaced; a second call trains the
new ones further. The texts stay as they are, and so does all that is bound to the space: sounds,
the generator, and what crosses by texts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from data import RUNS
from image_text import SPACES, Training
from package import SMALL, tower_state
from safetensors.torch import load_file, save_file
from torch import Tensor

from bindplug.models.small.image import CLASSES
from bindplug.models.small.network import WEIGHTS, open_folder
from bindplug.storage.atomic import writing
from bindplug.storage.state_dict import read_below, state_digest
from bindplug.training import Run, fit

STEPS = 1000


class HeadTraining(Training):
    """`Training` of the image head alone, from the one that a folder has."""

    def __init__(self, folder: Path, photo_val: bool):
        super().__init__(SPACES["small"], photo_val)
        self.rows = torch.from_numpy(open_folder(folder).embed(text=self.texts).vectors)
        self.ids = torch.arange(len(self.rows))[:, None]
        self.heads.texts = lambda ids: self.rows[ids[:, 0]]
        self.heads.requires_grad_(False)
        image, standardise = self.heads.image.requires_grad_(True), self.heads.standardise
        head = {k: x.float() for k, x in read_below(folder / WEIGHTS, "image.head.").items()}
        weight = head["weight"][:, :-CLASSES]
        with torch.no_grad():  # the inverse of Standardise.fold_into
            image.weight.copy_(weight * standardise.deviation)
            image.bias.copy_(head["bias"] + weight @ standardise.mean)

    def loss(self, step: int, g: torch.Generator) -> Tensor:
        return self.image_loss(g)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="whose weights are replaced")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--photo-val", action="store_true", help="keep photographs aside")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    training = HeadTraining(args.folder / SMALL, args.photo_val)
    start = state_digest({**training.heads.state_dict(), "texts": training.rows})
    place = RUNS / f"small-head-{args.seed}" / start[:16]
    run = Run(place, STEPS, lr=1e-3, muon_lr=None, seed=args.seed)
    fit(training.heads, training.loss, run, "small image head")
    training.know_classes()
    for label, (top1, top5) in training.figures().items():
        print(f"{label}: top-1 {top1:.3f}, top-5 {top5:.3f}")
    path = args.folder / SMALL / WEIGHTS
    state = load_file(path) | tower_state("image.head", training.heads.image_head())
    with writing(path) as file:
        save_file(state, file.name)


if __name__ == "__main__":
    main()
