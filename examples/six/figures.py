"""What the bound model knows, as the table of README.md.

python figures.py              # of logs/six/model on the validation pairs in data/

Names are given to depth, heat and motion by text, which none of them met in training, and to the
images of the same pairs; then depth and heat of one thing are found by each other, which never met
either.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import bindplug
from bindplug.embedding.classifier import ZeroShot
from bindplug.evaluation.datasets import read_classified
from bindplug.evaluation.metrics import top_k

OPTIONS = {"depth": {"focal_length": 160.0}}


def row(what: str, scores: np.ndarray, truth: np.ndarray) -> None:
    f = top_k(scores, truth)
    chance = truth.mean()
    print(f"| {what} | {f['value']:.2f} ({f['low']:.2f} to {f['high']:.2f}) | {chance:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="local:logs/six/model")
    parser.add_argument("--data", type=Path, default=Path("data"))
    args = parser.parse_args()
    embedder = bindplug.load_embedder(args.model)
    print("| from, to | top-1 | chance |\n|---|---|---|")
    vectors, labels = {}, {}
    for modality in ("depth", "thermal", "imu"):
        table = args.data / f"{modality}-val.csv"
        items = read_classified(table, modality)
        images = [item.path for item in read_classified(table, "image")]
        names = sorted({item.labels[0] for item in items})
        labels[modality] = np.array([item.labels[0] for item in items])
        truth = labels[modality][:, None] == names
        classifier = ZeroShot(embedder, names)
        found = embedder.embed(
            **{modality: [item.path for item in items]}, **OPTIONS.get(modality, {})
        )
        vectors[modality] = found.vectors
        row(f"{modality} to text", classifier.scores(found), truth)
        seen = embedder.embed(image=images)
        row("the images of these pairs to text", classifier.scores(seen), truth)
    same = labels["depth"][:, None] == labels["thermal"]
    cosines = vectors["depth"] @ vectors["thermal"].T
    row("depth to heat of such a thing", cosines, same)
    row("heat to depth of such a thing", cosines.T, same.T)


if __name__ == "__main__":
    main()
