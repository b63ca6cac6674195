"""Make the pairs: images with depth, images with heat, frames with motion.

python make.py                 # data/ with some hundred of each, in about two minutes

No scene has both depth and heat. The name of the thing goes into the column `label`, which figures
use and training does not.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from frames import draw
from motion import RATE, STEPS, THINGS, sensed
from objects import OBJECTS
from PIL import Image
from render import render
from tqdm import tqdm

WINDOW = 5 * RATE  # steps that the sensor's tower takes


def make_still(modality: str, name: str, rng: np.random.Generator, path: Path) -> Path:
    """An image and 16-bit millimetres or hundredths of a kelvin, beside each other."""
    view = render(OBJECTS[name](rng), rng)
    Image.fromarray(view.image).save(path.with_suffix(".png"))
    counts = 1000 * view.depth if modality == "depth" else 100 * view.heat
    other = path.with_name(f"{path.name}-{modality}.png")
    Image.fromarray(counts.round().clip(0, 65535).astype(np.uint16)).save(other)
    return other


def make_motion(name: str, rng: np.random.Generator, path: Path) -> Path:
    """A recording, and a frame of a moment that every window of it holds."""
    motion = THINGS[name](rng)
    step = rng.integers(STEPS - WINDOW, WINDOW)
    draw(name, motion, step, rng).save(path.with_suffix(".png"))
    other = path.with_name(f"{path.name}-imu.csv")
    np.savetxt(other, sensed(motion, rng), "%.4f", ",")
    return other


def make(out: Path, modality: str, split: str, each: int) -> None:
    """A table of `each` pairs of each thing, and their files."""
    folder = out / modality / split
    folder.mkdir(parents=True, exist_ok=True)
    names = THINGS if modality == "imu" else OBJECTS
    rows = []
    for i, name in enumerate(tqdm(names, f"{modality} {split}")):
        for j in range(each):
            kind = ["depth", "thermal", "imu"].index(modality)
            rng = np.random.default_rng([kind, split == "val", i, j])
            path = folder / f"{name.replace(' ', '-')}-{j:03d}"
            if modality == "imu":
                other = make_motion(name, rng, path)
            else:
                other = make_still(modality, name, rng, path)
            rows.append([f"{modality}/{split}/{path.name}.png",
                         f"{modality}/{split}/{other.name}", name])  # fmt: skip
    with (out / f"{modality}-{split}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", modality, "label"], *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("data"))
    parser.add_argument("--train", type=int, default=60, help="pairs of each thing")
    parser.add_argument("--val", type=int, default=20)
    args = parser.parse_args()
    for modality in ("depth", "thermal", "imu"):
        make(args.output, modality, "train", args.train)
        make(args.output, modality, "val", args.val)


if __name__ == "__main__":
    main()
