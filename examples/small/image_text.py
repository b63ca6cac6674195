"""Step 2: image and text heads of a space, by contrastive learning of images and names.

python image_text.py small           # the shipped embedder's own
python image_text.py small-clip      # the second space, in which the shipped Detic classifies
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from class_columns import class_columns
from data import RUNS, Pictures, concepts, texts_of
from features import TRUNK, features
from heads import Heads, Space, Words
from torch import Tensor, nn
from trunks import image_trunk
from words import classes, dictionary, synonyms

from bindplug.training import Groups, Run, accuracy, fit, info_nce

TEMPERATURE = 0.05
OTHER_NAMES, CLASSES, LEMMAS = 150, 256, 384  # of a step, beside the 66 concepts twice
MARGIN = (5.0, 14.0)  # logits by which a made feature's class exceeds all others
SHOWN = 0.2  # share of a concept's images that are made features of its ImageNet classes
CLASS_WEIGHT = 0.3  # of the loss of ImageNet's classes
DISTILLED, MADE, DISTILL_WEIGHT = 256, 128, 2.0  # features whose class probabilities are learnt
SURE = 0.3  # probability of the likeliest class from which names that fit no likely one are wrong
KIN = 0.45  # cosine of two words from which a name may fit a class


SPACES = {
    "small": Space(width=256, words=96, hidden=384, steps=3000, dropout=0.3, seed=0),
    "small-clip": Space(width=160, words=64, hidden=256, steps=3000, dropout=0.2, seed=500),
}


class MadeFeatures:
    """Features of ImageNet's classes, whose images are not here, in two ways of equal shares: the
    classifier's row w_c itself; and real features, moved along a class's direction until the
    classifier names that class. That direction is covariance * w_c (linear discriminants:
    w_c = covariance^-1 mean_c).

    Args:
        rows: (1000, 1280) of the classifier.
        base: (N, 1280) features to move.
    """

    def __init__(self, rows: Tensor, base: Tensor):
        self.base, self.rows = base, rows - rows.mean(0)
        covariance = torch.cov(base.T) + 1e-3 * torch.eye(base.shape[1])
        directions = self.rows @ covariance
        self.directions = directions / (self.rows * directions).sum(1, keepdim=True)
        self.mean = base.mean(0)
        length = (base - self.mean).norm(dim=1).mean()
        self.plain = self.mean + 0.7 * length * F.normalize(self.rows, dim=1)

    def draw(self, chosen: Tensor, g: torch.Generator) -> Tensor:
        """(B,) classes to (B, 1280) features."""
        x = self.base[torch.randint(len(self.base), (len(chosen),), generator=g)]
        logits = x @ self.rows.T
        low, high = MARGIN
        margin = low + (high - low) * torch.rand(len(chosen), generator=g)
        gap = logits.amax(1) - logits[torch.arange(len(x)), chosen] + margin
        moved = (x + self.directions[chosen] * gap[:, None]).clamp(min=0)
        return torch.where(torch.rand(len(x), 1, generator=g) < 0.5, moved, self.plain[chosen])


class Classifier:
    """The trunk's own classifier, whose knowledge of photographs the heads are to keep.

    Args:
        linear: features to logits of ImageNet's classes.
        base: (N, 1280) features to mix.
        fits: (classes, names) bool, whether a name may be right where a class is.
    """

    def __init__(self, linear: nn.Linear, base: Tensor, fits: Tensor):
        self.linear, self.base, self.fits = linear, base, fits.float()
        self.deviation = base.std(0)

    def draw(self, g: torch.Generator) -> Tensor:
        """(DISTILLED, 1280): two features mixed, with noise."""
        x, y = self.base[torch.randint(len(self.base), (2, DISTILLED), generator=g)]
        share, level = torch.rand(2, DISTILLED, 1, generator=g)
        noise = level * self.deviation * torch.randn(x.shape, generator=g)
        return (torch.lerp(x, y, share) + noise).clamp(min=0)

    def loss(self, features: Tensor, rows: Tensor, classes: Tensor, names: Tensor) -> Tensor:
        """Divergence of the classifier's probabilities and those of the nearest texts (knowledge
        distillation, arXiv 1503.02531), the names that cannot be right among them.

        Args:
            features: (B, 1280), and `rows` (B, D), the unit vectors of the heads.
            classes: (1000, D) unit vectors of texts, one a class; `names` (N, D).
        """
        wanted = self.linear(features).softmax(1)
        unclear = (wanted @ self.fits > 0.1) | (wanted.amax(1, keepdim=True) < SURE)
        others = (rows @ names.T / TEMPERATURE).masked_fill(unclear, -1e4)
        found = torch.cat([rows @ classes.T / TEMPERATURE, others], 1).log_softmax(1)
        return F.kl_div(found[:, : len(classes)], wanted, reduction="batchmean")


class Training:
    """The pictures, names and losses of both spaces."""

    def __init__(self, space: Space, photo_val: bool):
        found = features()
        self.pictures = Pictures("pictures.csv", None, 128, concepts())
        self.vocab = Pictures("vocab.csv", None, 64)
        self.views = {"pictures": found["pictures"], "vocab": found["vocab"]}
        kept = [r["split"] == "train" for r in self.pictures.rows]
        if photo_val:  # look at photographs while choosing the recipe
            kept = [
                k and r["style"] != "gcompris-photo"
                for k, r in zip(kept, self.pictures.rows, strict=True)
            ]
        self.of = Groups([[i for i in of.tolist() if kept[i]] for of in self.pictures.of])
        known = [r["split"] == "train" for r in self.vocab.rows]
        self.kept = {"pictures": torch.tensor(kept), "vocab": torch.tensor(known)}
        self.vocab_of = Groups([[i for i in of.tolist() if known[i]] for of in self.vocab.of])
        self.known = torch.nonzero(self.vocab_of.sizes)[:, 0]
        train = torch.cat(
            [
                found["pictures"][1:, kept].flatten(0, 1)[::9],
                found["vocab"][1:, known].flatten(0, 1)[::9],
            ]
        )
        squares = found["squares"][0].float()
        base = torch.cat([squares, train.float()[::2], squares])
        linear = image_trunk(TRUNK).classifier
        self.made = MadeFeatures(linear.weight, base)
        pairs, lemmas, meanings = dictionary()
        names = self.pictures.names
        texts: list[str] = []

        def group(lists: list[list[str]]) -> Groups:
            ids = []
            for group_texts in lists:
                ids.append(list(range(len(texts), len(texts) + len(group_texts))))
                texts.extend(group_texts)
            return Groups(ids)

        self.own = group([texts_of(n) for n in names])
        self.other = group([texts_of(n, synonyms(n)) for n in names])
        self.vocab_texts = group([texts_of(n) for n in self.vocab.names])
        self.lemmas = group(lemmas)
        self.dictionary, self.named = pairs, list(texts)
        self.meanings = group([[m] for m in meanings])
        self.pair_lemmas, self.pair_meanings = (
            group([[a] for a, _ in pairs]),
            group([[b] for _, b in pairs]),
        )
        self.classes = Groups([classes(n) for n in names])
        words = Words(texts, self.named, space.words)
        self.ids = words.ids(texts)
        self.heads = Heads(space, words, train)
        fits = words.kin(lemmas, names + self.vocab.names, KIN)
        for i, name in enumerate(names):
            fits[classes(name), i] = True
        self.classifier = Classifier(linear, base, fits)

    def loss(self, step: int, g: torch.Generator) -> Tensor:
        """Images against names (the concepts twice, other names), ImageNet's classes against their
        lemmas and definitions, lemmas against definitions, and `Classifier.loss`."""

        def chance(count: int, p: float) -> Tensor:
            return torch.rand(count, generator=g) < p

        def view(name: str, index: Tensor) -> Tensor:
            views = self.views[name]
            which = torch.randint(1, len(views), (len(index),), generator=g)
            return views[which, index].float()

        every = torch.arange(66)
        images, texts = [], []
        shown = self.classes.sizes > 0
        for _ in range(2):
            x = view("pictures", self.of.draw(every, g))
            made = self.made.draw(self.classes.draw(every, g), g)
            images.append(torch.where((chance(66, SHOWN) & shown)[:, None], made, x))
            own, other = self.own.draw(every, g), self.other.draw(every, g)
            texts.append(torch.where(chance(66, 0.4), other, own))
        names = self.known[torch.randperm(len(self.known), generator=g)[:OTHER_NAMES]]
        images.append(view("vocab", self.vocab_of.draw(names, g)))
        texts.append(self.vocab_texts.draw(names, g))
        chosen = torch.randperm(1000, generator=g)[:CLASSES]
        images.append(self.made.draw(chosen, g))
        lemma, meaning = self.lemmas.draw(chosen, g), self.meanings.draw(chosen, g)
        texts.append(torch.where(chance(CLASSES, 0.25), meaning, lemma))
        pairs = torch.randint(len(self.pair_lemmas.sizes), (LEMMAS,), generator=g)
        meanings = self.ids[self.pair_meanings.draw(pairs, g)]
        meanings = meanings * (torch.rand(meanings.shape, generator=g) > 0.15)
        ids = torch.cat([self.ids[torch.cat(texts)], self.ids[self.pair_lemmas.draw(pairs, g)]])
        sizes = [66, 66, OTHER_NAMES, CLASSES]
        a = self.heads.images(torch.cat(images)).split(sizes)
        *b, left, right = self.heads.texts(torch.cat([ids, meanings])).split(
            [*sizes, LEMMAS, LEMMAS]
        )
        features, columns = self.classified(g)
        texts = self.heads.texts(self.ids[columns]).split([1000, len(self.classifier.fits[0])])
        distilled = self.classifier.loss(features, self.heads.images(features), *texts)
        first, second = (
            info_nce(torch.cat([a[i], a[2]]), torch.cat([b[i], b[2]]), 1 / TEMPERATURE)
            for i in (0, 1)
        )
        return (
            (first + second) / 2
            + CLASS_WEIGHT * info_nce(a[3], b[3], 1 / TEMPERATURE)
            + info_nce(left, right, 1 / TEMPERATURE)
            + DISTILL_WEIGHT * distilled
        )

    def classified(self, g: torch.Generator) -> tuple[Tensor, Tensor]:
        """Features whose classes are learnt, and a text of each class and of each name."""
        made = self.made.draw(torch.randint(1000, (MADE,), generator=g), g)
        every, others = torch.arange(1000), torch.arange(len(self.vocab.names))
        lemma, meaning = self.lemmas.draw(every, g), self.meanings.draw(every, g)
        texts = [torch.where(torch.rand(1000, generator=g) < 0.15, meaning, lemma)]
        texts += [self.own.draw(torch.arange(66), g), self.vocab_texts.draw(others, g)]
        return torch.cat([self.classifier.draw(g), made]), torch.cat(texts)

    @torch.inference_mode()
    def know_classes(self) -> None:
        """What the trunk's classifier knows of photographs, added to the trained image head."""
        rows, linear = self.heads.texts(self.ids), self.classifier.linear
        views = []
        for name, of, texts in (
            ("pictures", self.pictures.labels, self.own.mean(rows)),
            ("vocab", self.vocab.labels, self.vocab_texts.mean(rows)),
        ):
            kept = self.kept[name]
            views += [(x[kept], texts[of[kept]]) for x in self.views[name]]
        head = self.heads.standardise.fold_into(self.heads.image)
        columns = class_columns(head, linear, self.lemmas.mean(rows), views)
        self.heads.know(linear, columns)

    @torch.inference_mode()
    def stand_ins(self) -> dict[str, str]:
        """Of words that training says little about, the words whose vectors they take."""
        words = self.heads.words

        def embed(texts: list[str]) -> Tensor:
            return self.heads.texts(words.ids(texts))

        return words.stand_ins(self.named, self.dictionary, embed)

    @torch.inference_mode()
    def name_vectors(self) -> tuple[Tensor, Tensor]:
        """(66, D) and (937, D) unit text vectors, each the mean over its wordings."""
        rows = self.heads.texts(self.ids)
        return self.own.mean(rows), self.vocab_texts.mean(rows)

    @torch.inference_mode()
    def figures(self) -> dict[str, tuple[float, float]]:
        """Top-1 and top-5 on val: concepts among 66, other names among all."""
        names, others = self.name_vectors()
        out = {}
        val = torch.tensor([r["split"] == "val" for r in self.pictures.rows])
        photo = torch.tensor([r["style"] == "gcompris-photo" for r in self.pictures.rows])
        plain = self.heads.images(self.views["pictures"][0])
        for label, chosen in (("unseen style", val), ("photographs", photo)):
            out[label] = accuracy(plain[chosen], names, self.pictures.labels[chosen])
        known = torch.tensor([r["split"] == "val" for r in self.vocab.rows])
        rest = self.heads.images(self.views["vocab"][0][known])
        every = torch.cat([names, others])
        out["other names"] = accuracy(rest, every, self.vocab.labels[known] + 66)
        return out


def train(name: str, seed: int, steps: int | None = None, photo_val: bool = False) -> Training:
    """Train a space, or go on where it was left, and load what was trained."""
    space = SPACES[name]
    torch.manual_seed(seed + space.seed)
    training = Training(space, photo_val)
    folder = RUNS / f"{name}-{seed}" / ("photo-val" if photo_val else "image-text")
    run = Run(
        folder, steps or space.steps, lr=2e-3, muon_lr=None, weight_decay=0.1,
        seed=seed + space.seed,
    )  # fmt: skip
    fit(training.heads, training.loss, run, f"{name} image-text")
    training.know_classes()
    return training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("space", choices=SPACES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--photo-val", action="store_true", help="keep photographs aside")
    args = parser.parse_args()
    training = train(args.space, args.seed, args.steps, args.photo_val)
    for label, (top1, top5) in training.figures().items():
        print(f"{label}: top-1 {top1:.3f}, top-5 {top5:.3f}")


if __name__ == "__main__":
    main()
