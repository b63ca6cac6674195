"""Step 3: the audio tower, against the frozen image side. No sound ever meets a text here.

python audio.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from data import RUNS, concepts, sounds
from image_text import Training, train
from sounds import MILD, STRONG, Clips, powers
from torch import Tensor, nn
from trunks import audio_trunk

from bindplug.device import mixed_precision
from bindplug.models.small.audio import OWN as AUDIO
from bindplug.models.small.audio import AudioTrunk, EffectsTrunk, OwnTrunk
from bindplug.models.small.log_mel import compress, cut_blocks
from bindplug.models.small.network import Tower
from bindplug.training import (
    Run,
    Standardise,
    accuracy,
    cached,
    encode_views,
    encode_with_fewer_tokens,
    fit,
    info_nce,
    mimetic_init,
    sine_cosine,
    step_generator,
    whitening_filters,
)

TEMPERATURE = 0.07
BATCHES = 160  # of clips, whose features the head is first trained on alone
HEAD_STEPS, STEPS = 1500, 400
OWN_STEPS, OWN_TEMPERATURE = 2600, 0.05
OWN_SHARE = 0.4  # of the own trunk's vector in the sum of both
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


class Tuned(nn.Module):
    """The pretrained trunk's last block, and a head, in training."""

    def __init__(self, trunk: EffectsTrunk, head: Head):
        super().__init__()
        self.trunk, self.head = trunk, head
        for name in FROZEN:
            getattr(trunk, name).requires_grad_(False)

    def train(self, mode: bool = True) -> Tuned:
        """Batch norms keep the statistics of the many sounds that the trunk was trained on."""
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(B, 100, 96) to (B, D) unit vectors."""
        with mixed_precision(x.device):
            features = self.trunk(x)
        return self.head(features)


class Lesson:
    """Sounds, and the image embeddings that each is to meet.

    Args:
        training: the space, whose image side is frozen.
        which: sounds, as in `chosen`.

    Attributes:
        labels: of a batch, which has one clip of each concept with sounds.
        means: (66, D) mean image embedding of each concept.
    """

    def __init__(self, training: Training, which: str):
        self.clips = Clips(concepts(), chosen(which))
        self.targets = image_targets(training)
        self.means = F.normalize(torch.stack([t.mean(0) for t in self.targets]), dim=-1)
        self.labels = self.clips.labels.tolist()

    def target(self, g: torch.Generator) -> Tensor:
        """(B, D): near its concept's mean, a little towards one of its pictures."""
        r = torch.rand(len(self.labels), generator=g).tolist()
        pairs = zip(self.labels, r, strict=True)
        own = [self.targets[c][int(x * len(self.targets[c]))] for c, x in pairs]
        return (1 - OWN) * self.means[self.labels] + OWN * torch.stack(own)


def tuned_trunk(lesson: Lesson, folder: Path, which: str, seed: int) -> Tuned:
    """The pretrained trunk: first a head alone, then the last block with it, which changes the
    features less than both at once (LP-FT, Kumar et al., ICLR 2022)."""
    trunk = audio_trunk().to(memory_format=torch.channels_last)
    features = clip_features(trunk, lesson.clips, RUNS / f"clips-{which}.safetensors")
    every = torch.arange(len(lesson.labels))

    def head_loss(step: int, g: torch.Generator) -> Tensor:
        batch = torch.randint(BATCHES, every.shape, generator=g)
        return info_nce(head(features[batch, every]), lesson.target(g), 1 / TEMPERATURE)

    def loss(step: int, g: torch.Generator) -> Tensor:
        return info_nce(tuned(lesson.clips.draw(g, MILD)), lesson.target(g), 1 / TEMPERATURE)

    settings = {"muon_lr": None, "ema": 0.99, "weight_decay": 0.05, "seed": seed + 50}
    head = Head(features.flatten(0, 1), lesson.means.shape[1])
    run = Run(folder / "head", HEAD_STEPS, lr=4e-3, **settings)
    fit(head, head_loss, run, "audio, head")
    tuned = Tuned(trunk, head)
    fit(tuned, loss, Run(folder / "trunk", STEPS, lr=3e-4, warmup=30, **settings), "audio, trunk")
    return tuned


def own_trunk(lesson: Lesson, folder: Path, seed: int) -> OwnTrunk:
    """The trunk of our own, from nothing; it sees 35 % of the patches until the last tenth."""
    trunk = OwnTrunk(lesson.means.shape[1])
    net = trunk.net
    mimetic_init(net.modality_trunks["audio"])
    stem, size, step = net.modality_preprocessors["audio"], AUDIO.patch_size, AUDIO.stride
    x = trunk.prepare(lesson.clips.draw(step_generator(0, 0), STRONG))
    patches = x.unfold(2, size, step).unfold(3, size, step)
    rows, columns = patches.shape[2:4]
    filters = whitening_filters(patches.reshape(-1, size**2), AUDIO.width)
    grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    with torch.no_grad():
        stem.rgbt_stem.proj.weight.copy_(filters.view_as(stem.rgbt_stem.proj.weight))
        stem.pos_embedding_helper.pos_embed[0, 1:].add_(sine_cosine(grid, AUDIO.width))

    def loss(step: int, g: torch.Generator) -> Tensor:
        x = trunk.prepare(lesson.clips.draw(g, STRONG))
        keep = 0.35 if step < 0.9 * OWN_STEPS else 0.8
        rows = encode_with_fewer_tokens(net, "audio", x, keep, g)
        return info_nce(rows, lesson.target(g), 1 / OWN_TEMPERATURE)

    run = Run(folder / "own", OWN_STEPS, lr=3e-3, muon_lr=3e-3, seed=seed + 50)
    fit(net, loss, run, "audio, own trunk")
    return trunk


@torch.inference_mode()
def side_by_side(tuned: Tuned, own: OwnTrunk, clips: Clips) -> Tower:
    """One tower of both trunks, whose linear head adds their vectors, OWN_SHARE of the own one's;
    each is divided by its mean length over clips, so that the share means something."""
    tower = Tower(AudioTrunk(own.width), own.width)
    tower.trunk.effects, tower.trunk.own = tuned.trunk, own
    first = tuned.head.standardise.fold_into(tuned.head.linear)
    x = torch.cat([clips.draw(step_generator(1, i), MILD) for i in range(4)])
    lengths = [(first(tuned.trunk(x))).norm(dim=1).mean(), own(x).norm(dim=1).mean()]
    second = torch.eye(own.width) * OWN_SHARE / lengths[1]
    tower.head.weight.copy_(torch.cat([first.weight / lengths[0], second], dim=1))
    tower.head.bias.copy_(first.bias / lengths[0])
    return tower.eval()


@torch.inference_mode()
def vectors(tower: Tower, mels: list[np.ndarray]) -> Tensor:
    """Whole sounds, (T, 96) log-mels, to (N, D): the mean over the blocks of each."""
    rows = [tower(torch.from_numpy(cut_blocks(mel)[0])).mean(0) for mel in mels]
    return F.normalize(torch.stack(rows), dim=-1)


@torch.inference_mode()
def image_targets(training: Training) -> list[Tensor]:
    """Of each concept, (n, D) unit embeddings of its training pictures, in all augmented views."""
    views = training.views["pictures"][1:]
    members = [t[:n] for t, n in zip(training.of.table, training.of.sizes, strict=True)]
    return [training.heads.images(views[:, m].flatten(0, 1)) for m in members]


def chosen(which: str) -> list[bool]:
    """Which sounds are trained on: "train" or "all" of both tables, or those of "sounds.csv" that
    are for training."""
    is_train = [r["split"] == "train" for r in sounds()]
    if which == "sounds.csv":
        return [t and r["set"] == which for t, r in zip(is_train, sounds(), strict=True)]
    return [t or which == "all" for t in is_train]


def figures(tower: Tower, names: Tensor) -> dict[str, tuple[float, ...]]:
    """Emergent naming of sounds among 66 concepts: (top-1, top-5, sounds) of val, and of all sounds
    of the second table, which are unseen when only the first was trained on."""
    rows, labels = sounds(), concepts()
    heard = vectors(tower, [compress(p[0].float().numpy()) for p in powers()])
    label = torch.tensor([labels.index(r["concept"]) for r in rows])
    is_val = torch.tensor([r["split"] == "val" for r in rows])
    second = torch.tensor([r["set"] == "sounds2.csv" for r in rows])
    out = {}
    for name, mask in (("val", is_val & ~second), ("val 2", is_val & second), ("all 2", second)):
        out[name] = (*accuracy(heard[mask], names, label[mask]), int(mask.sum()))
    return out


def clip_features(trunk: EffectsTrunk, clips: Clips, path: Path) -> Tensor:
    """(BATCHES, clips of a batch, W) features of damaged clips."""

    def batches(view: int) -> Iterator[Tensor]:
        yield clips.draw(step_generator(0, view), MILD)

    def make() -> dict[str, Tensor]:
        return {"x": encode_views(trunk, BATCHES, batches, "clips")}

    return cached(path, f"{BATCHES} {MILD}", make)["x"]


def trained_tower(space: str, seed: int, which: str = "train") -> tuple[Training, Tower]:
    """The space, and the audio tower bound to its image side."""
    training = train(space, seed)
    torch.manual_seed(seed + 100)
    lesson, folder = Lesson(training, which), RUNS / f"{space}-{seed}" / f"audio-{which}"
    own = own_trunk(lesson, folder, seed)
    tuned = tuned_trunk(lesson, folder, which, seed)
    return training, side_by_side(tuned, own, lesson.clips)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sounds", default="train", choices=["train", "all", "sounds.csv"])
    args = parser.parse_args()
    training, tower = trained_tower(args.space, args.seed, args.sounds)
    for label, (top1, top5, count) in figures(tower, training.name_vectors()[0]).items():
        print(f"audio to text, {label} ({count} sounds): top-1 {top1:.3f}, top-5 {top5:.3f}")


if __name__ == "__main__":
    main()
