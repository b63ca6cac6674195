"""Step 3: the audio tower, against the frozen image side. No sound ever meets a text here.

python audio.py
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from data import RUNS, concepts, sounds
from image_text import Training, train
from sounds import Clips, powers
from torch import Tensor, nn
from trunks import audio_trunk

from bindplug.models.small.audio import AudioTrunk, compress, cut_blocks
from bindplug.training import Run, Standardise, accuracy, fit, info_nce

TEMPERATURE = 0.07
STEPS = 400
FROZEN = ("conv_block1", "conv_block2")
SAMPLES = 8  # batches that the features' mean and the head's start are taken from
OWN = 0.2  # share of a single picture in a target; the rest is its concept's mean


class Ear(nn.Module):
    """Trunk and head in training, on standardised features.

    Args:
        sample: (N, 512) features that give the mean and deviation.
    """

    def __init__(self, trunk: AudioTrunk, sample: Tensor, width: int):
        super().__init__()
        self.trunk, self.standardise = trunk, Standardise(sample)
        self.head = nn.Linear(trunk.width, width)
        for name in FROZEN:
            getattr(trunk, name).requires_grad_(False)

    def train(self, mode: bool = True) -> Ear:
        """Batch norms keep the statistics of the many sounds that the trunk was trained on."""
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(B, 100, 96) to (B, D) unit vectors."""
        with torch.autocast(x.device.type, torch.bfloat16):
            features = self.trunk(x)
        x = F.dropout(self.standardise(features), 0.2, self.training)
        return F.normalize(self.head(x), dim=-1)

    @torch.no_grad()
    def fit_head(self, features: Tensor, targets: Tensor) -> None:
        """Start the head at the ridge regression of (N, D) targets on (N, 512) features."""
        x = self.standardise(features)
        gram = x.T @ x + len(x) * torch.eye(x.shape[1])
        mean = targets.mean(0)
        self.head.weight.copy_(torch.linalg.solve(gram, x.T @ (targets - mean)).T)
        self.head.bias.copy_(mean)

    @torch.inference_mode()
    def vectors(self, mels: list[Tensor]) -> Tensor:
        """Whole sounds, (T, 96) log-mels, to (N, D): the mean over the blocks of each."""
        rows = [self(cut_blocks(mel)[0]).mean(0) for mel in mels]
        return F.normalize(torch.stack(rows), dim=-1)


@torch.inference_mode()
def image_targets(training: Training) -> list[Tensor]:
    """Of each concept, (n, D) unit embeddings of its training pictures, in all augmented views."""
    views = training.views["pictures"][1:]
    members = [t[:n] for t, n in zip(training.of.table, training.of.sizes, strict=True)]
    return [training.heads.images(views[:, m].flatten(0, 1)) for m in members]


def chosen(which: str) -> list[bool]:
    """Which sounds are trained on: the training split of "both" tables, or of "sounds.csv"."""
    return [r["split"] == "train" and which in ("both", r["set"]) for r in sounds()]


def figures(ear: Ear, names: Tensor) -> dict[str, tuple[float, ...]]:
    """Emergent naming of sounds among 66 concepts: (top-1, top-5, sounds) of val, and of all sounds
    of the second table, which are unseen when only the first was trained on."""
    rows, labels = sounds(), concepts()
    vectors = ear.vectors([compress(p[0].float()) for p in powers()])
    label = torch.tensor([labels.index(r["concept"]) for r in rows])
    is_val = torch.tensor([r["split"] == "val" for r in rows])
    second = torch.tensor([r["set"] == "sounds2.csv" for r in rows])
    out = {}
    for name, mask in (("val", is_val & ~second), ("val 2", is_val & second), ("all 2", second)):
        out[name] = (*accuracy(vectors[mask], names, label[mask]), int(mask.sum()))
    return out


def trained_ear(space: str, seed: int, which: str = "both", steps: int = STEPS) -> tuple:
    """(Training of the space, Ear bound to its image side)."""
    training = train(space, seed)
    torch.manual_seed(seed + 100)
    targets = image_targets(training)
    means = F.normalize(torch.stack([t.mean(0) for t in targets]), dim=-1)
    clips = Clips(concepts(), chosen(which))
    trunk = audio_trunk().to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        g = torch.Generator().manual_seed(seed)
        sample = torch.cat([trunk(clips.draw(g)) for _ in range(SAMPLES)]).clone()
    ear = Ear(trunk, sample, means.shape[1])
    ear.fit_head(sample, means[clips.labels].repeat(SAMPLES, 1))

    def target(g: torch.Generator) -> Tensor:
        r = torch.rand(len(clips.labels), generator=g)
        labels = clips.labels.tolist()
        own = torch.stack(
            [targets[c][int(x * len(targets[c]))] for c, x in zip(labels, r, strict=True)]
        )
        return (1 - OWN) * means[clips.labels] + OWN * own

    def loss(step: int, g: torch.Generator) -> Tensor:
        return info_nce(ear(clips.draw(g)), target(g), 1 / TEMPERATURE)

    run = Run(
        RUNS / f"{space}-{seed}" / f"audio-{which}", steps, lr=5e-4, muon_lr=None,
        weight_decay=0.05, warmup=30, ema=0.99, seed=seed + 50,
    )  # fmt: skip
    fit(ear, loss, run, f"{space} audio")
    return training, ear


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sounds", default="both", choices=["both", "sounds.csv"])
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()
    training, ear = trained_ear(args.space, args.seed, args.sounds, args.steps)
    for label, (top1, top5, count) in figures(ear, training.name_vectors()[0]).items():
        print(f"audio to text, {label} ({count} sounds): top-1 {top1:.3f}, top-5 {top5:.3f}")


if __name__ == "__main__":
    main()
