"""Step 2: image and text heads of a space, by contrastive learning of images and names.

python image_text.py small           # the shipped embedder's own
python image_text.py small-clip      # the second space, in which the shipped Detic classifies
"""

from __future__ import annotations

import argparse

import torch
from class_columns import class_columns
from data import RUNS, Pictures, concepts, texts_of
from features import TRUNK, features
from heads import Heads, Space, Words
from torch import Tensor
from trunk_classifier import TEMPERATURE, Classifier, MadeFeatures
from trunks import image_trunk
from words import classes, dictionary, synonyms

from bindplug.training import Groups, Run, accuracy, fit, info_nce

OTHER_NAMES, CLASSES, LEMMAS = 150, 256, 384  # of a step, beside the 66 concepts twice
SHOWN = 0.2  # share of a concept's images that are made features of its ImageNet classes
CLASS_WEIGHT = 0.3  # of the loss of ImageNet's classes
MADE, DISTILL_WEIGHT = 128, 2.0  # made features among those whose class probabilities are learnt
PLAIN = 1 / 3  # share of pictures that are shown as they are, on white
KIN = 0.45  # cosine of two words from which a name may fit a class


SPACES = {
    "small": Space(width=256, words=96, hidden=384, steps=3000, dropout=0.3, seed=0),
    "small-clip": Space(width=160, words=64, hidden=256, steps=3000, dropout=0.2, seed=500),
}


def chance(count: int, p: float, g: torch.Generator) -> Tensor:
    return torch.rand(count, generator=g) < p


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
        self.texts, self.classes = texts, Groups([classes(n) for n in names])
        words = Words(texts, self.named, space.words)
        self.ids = words.ids(texts)
        self.heads = Heads(space, words, train)
        fits = words.kin(lemmas, names + self.vocab.names, KIN)
        for i, name in enumerate(names):
            fits[classes(name), i] = True
        self.classifier = Classifier(linear, base, fits)

    def loss(self, step: int, g: torch.Generator) -> Tensor:
        return self.image_loss(g) + self.dictionary_loss(g)

    def view(self, table: str, index: Tensor, g: torch.Generator) -> Tensor:
        """(B, 1280) features of pictures of a table, plain or in one of the changed views."""
        views = self.views[table]
        which = torch.randint(1, len(views), (len(index),), generator=g)
        which[chance(len(index), PLAIN, g)] = 0
        return views[which, index].float()

    def image_loss(self, g: torch.Generator) -> Tensor:
        """Images against names (the concepts twice, other names), ImageNet's classes against their
        lemmas and definitions, and `Classifier.loss`."""
        every = torch.arange(66)
        images, texts = [], []
        shown = self.classes.sizes > 0
        for _ in range(2):
            x = self.view("pictures", self.of.draw(every, g), g)
            made = self.made.draw(self.classes.draw(every, g), g)
            images.append(torch.where((chance(66, SHOWN, g) & shown)[:, None], made, x))
            own, other = self.own.draw(every, g), self.other.draw(every, g)
            texts.append(torch.where(chance(66, 0.4, g), other, own))
        names = self.known[torch.randperm(len(self.known), generator=g)[:OTHER_NAMES]]
        images.append(self.view("vocab", self.vocab_of.draw(names, g), g))
        texts.append(self.vocab_texts.draw(names, g))
        chosen = torch.randperm(1000, generator=g)[:CLASSES]
        images.append(self.made.draw(chosen, g))
        lemma, meaning = self.lemmas.draw(chosen, g), self.meanings.draw(chosen, g)
        texts.append(torch.where(chance(CLASSES, 0.25, g), meaning, lemma))
        sizes = [66, 66, OTHER_NAMES, CLASSES]
        a = self.heads.images(torch.cat(images)).split(sizes)
        b = self.heads.texts(self.ids[torch.cat(texts)]).split(sizes)
        features, columns = self.classified(g)
        rows = self.heads.texts(self.ids[columns]).split([1000, len(self.classifier.fits[0])])
        distilled = self.classifier.loss(features, self.heads.images(features), *rows)
        first, second = (
            info_nce(torch.cat([a[i], a[2]]), torch.cat([b[i], b[2]]), 1 / TEMPERATURE)
            for i in (0, 1)
        )
        return (
            (first + second) / 2
            + CLASS_WEIGHT * info_nce(a[3], b[3], 1 / TEMPERATURE)
            + DISTILL_WEIGHT * distilled
        )

    def dictionary_loss(self, g: torch.Generator) -> Tensor:
        """Lemmas against definitions, of which some words are left out."""
        pairs = torch.randint(len(self.pair_lemmas.sizes), (LEMMAS,), generator=g)
        meanings = self.ids[self.pair_meanings.draw(pairs, g)]
        meanings = meanings * (torch.rand(meanings.shape, generator=g) > 0.15)
        ids = torch.cat([self.ids[self.pair_lemmas.draw(pairs, g)], meanings])
        lemmas, meanings = self.heads.texts(ids).split(LEMMAS)
        return info_nce(lemmas, meanings, 1 / TEMPERATURE)

    def classified(self, g: torch.Generator) -> tuple[Tensor, Tensor]:
        """Features whose classes are learnt, and a text of each class and of each name."""
        made = self.made.draw(torch.randint(1000, (MADE,), generator=g), g)
        every, others = torch.arange(1000), torch.arange(len(self.vocab.names))
        lemma, meaning = self.lemmas.draw(every, g), self.meanings.draw(every, g)
        texts = [torch.where(chance(1000, 0.15, g), meaning, lemma)]
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
