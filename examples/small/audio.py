"""Step 3: the audio tower, against the frozen image side. No sound ever meets a text here.

python audio.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from data import RUNS, concepts, sounds
from image_text import Training, train
from sounds import Clips, powers
from torch import Tensor, nn
from trunks import audio_trunk

from bindplug.models.small.audio import AudioTrunk, compress, cut_blocks
from bindplug.training import (
    Run,
    Standardise,
    accuracy,
    cached,
    encode_views,
    fit,
    info_nce,
    step_generator,
)  # fmt: skip

TEMPERATURE = 0.07
BATCHES = 160  # of clips, whose features the head is first trained on alone
HEAD_STEPS, STEPS = 1500, 400
FROZEN = ("conv_block1", "conv_block2", "conv_block3")
OWN = 0.2  # share of a single picture in a target; the rest is its concept's mean


class Head(nn.Module):
    """Features to unit vectors.

    Args:
        sample: (N, W) features that give the mean and deviation.
    """

    def __init__(self, sample: Tensor, width: int):
        super().__init__()
        self.standardise = Standardise(sample)
        self.linear = nn.Linear(sample.shape[1], width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(self.standardise(x), 0.1, self.training)
        return F.normalize(self.linear(x), dim=-1)


class Ear(nn.Module):
    """Trunk and head in training: the trunk's last block, and the head."""

    def __init__(self, trunk: AudioTrunk, head: Head):
        super().__init__()
        self.trunk, self.head = trunk, head
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
        return self.head(features)

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


def clip_features(trunk: AudioTrunk, clips: Clips, path: Path, key: str) -> Tensor:
    """(BATCHES, clips of a batch, W) features of damaged clips."""

    def batches(view: int) -> Iterator[Tensor]:
        yield clips.draw(step_generator(0, view))

    return cached(path, key, lambda: {"x": encode_views(trunk, BATCHES, batches, "clips")})["x"]


def trained_ear(space: str, seed: int, which: str = "both") -> tuple[Training, Ear]:
    """The space, and the audio tower bound to its image side: first the head alone, then the last
    block of the trunk with it, which changes the features less than both at once (LP-FT, Kumar et
    al., ICLR 2022)."""
    training = train(space, seed)
    torch.manual_seed(seed + 100)
    targets = image_targets(training)
    means = F.normalize(torch.stack([t.mean(0) for t in targets]), dim=-1)
    clips = Clips(concepts(), chosen(which))
    trunk = audio_trunk().to(memory_format=torch.channels_last)
    features = clip_features(trunk, clips, RUNS / f"clips-{which}.safetensors", f"{BATCHES}")
    labels = clips.labels.tolist()

    def target(g: torch.Generator) -> Tensor:
        r = torch.rand(len(labels), generator=g).tolist()
        own = [targets[c][int(x * len(targets[c]))] for c, x in zip(labels, r, strict=True)]
        return (1 - OWN) * means[labels] + OWN * torch.stack(own)

    def head_loss(step: int, g: torch.Generator) -> Tensor:
        batch = torch.randint(BATCHES, (len(labels),), generator=g)
        return info_nce(head(features[batch, every]), target(g), 1 / TEMPERATURE)

    def loss(step: int, g: torch.Generator) -> Tensor:
        return info_nce(ear(clips.draw(g)), target(g), 1 / TEMPERATURE)

    every = torch.arange(len(labels))
    folder = RUNS / f"{space}-{seed}" / f"audio-{which}"
    settings = {"muon_lr": None, "ema": 0.99, "seed": seed + 50}
    head = Head(features.flatten(0, 1), means.shape[1])
    run = Run(folder / "head", HEAD_STEPS, lr=4e-3, weight_decay=0.05, **settings)
    fit(head, head_loss, run, f"{space} audio head")
    ear = Ear(trunk, head)
    run = Run(folder / "trunk", STEPS, lr=3e-4, weight_decay=0.05, warmup=30, **settings)
    fit(ear, loss, run, f"{space} audio")
    return training, ear


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sounds", default="both", choices=["both", "sounds.csv"])
    args = parser.parse_args()
    training, ear = trained_ear(args.space, args.seed, args.sounds)
    for label, (top1, top5, count) in figures(ear, training.name_vectors()[0]).items():
        print(f"audio to text, {label} ({count} sounds): top-1 {top1:.3f}, top-5 {top5:.3f}")


if __name__ == "__main__":
    main()
