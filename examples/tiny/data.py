"""The tiny set: tables, images as premultiplied RGBA, sounds as 16 kHz waves, names as texts."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

HERE = Path(__file__).parent
ROOT = Path(os.environ.get("TINYSET", HERE / "tinyset"))  # the files that the tables name
RUNS = Path(os.environ.get("TINY_RUNS", HERE / "runs"))

TEMPLATES = [
    "{}",
    "{}",
    "a {}",
    "the {}",
    "a picture of a {}",
    "a photo of a {}",
    "a drawing of a {}",
    "an icon of a {}",
]
# Other words for a concept, used for one text in five so that a query need not be the table's own.
SYNONYMS = {
    "dog": ["puppy", "hound", "barking dog"],
    "cat": ["kitten", "kitty", "meowing cat"],
    "cow": ["cattle", "bull", "calf"],
    "horse": ["pony", "stallion", "mare"],
    "sheep": ["lamb", "ram", "ewe"],
    "pig": ["piglet", "hog", "boar"],
    "duck": ["duckling", "mallard"],
    "chicken": ["hen", "rooster", "chick", "cock"],
    "owl": ["hooting owl"],
    "frog": ["toad"],
    "bee": ["wasp", "honeybee", "bumblebee"],
    "cricket": ["grasshopper"],
    "bird": ["songbird", "sparrow", "robin"],
    "crow": ["raven"],
    "monkey": ["ape", "chimpanzee"],
    "elephant": ["mammoth"],
    "lion": ["tiger", "big cat"],
    "wolf": ["howling wolf"],
    "deer": ["stag", "reindeer"],
    "donkey": ["mule"],
    "snake": ["serpent", "rattlesnake"],
    "seagull": ["gull"],
    "whale": ["dolphin"],
    "piano": ["grand piano"],
    "guitar": ["electric guitar", "acoustic guitar"],
    "violin": ["cello", "fiddle"],
    "trumpet": ["cornet", "bugle"],
    "saxophone": ["sax"],
    "drum": ["drums", "snare drum"],
    "tuba": ["trombone", "horn"],
    "bell": ["church bell", "bells"],
    "car": ["automobile"],
    "train": ["locomotive", "railway"],
    "airplane": ["plane", "aeroplane", "jet"],
    "ship": ["boat"],
    "bus": ["truck", "lorry"],
    "fire engine": ["ambulance", "police car", "siren"],
    "rocket": ["spaceship"],
    "rain": ["rainfall", "rain cloud"],
    "thunder": ["lightning", "storm"],
    "wind": ["windmill", "breeze"],
    "waves": ["sea", "ocean", "the sea"],
    "water drop": ["droplet", "dripping water"],
    "fire": ["flame", "campfire"],
    "telephone": ["phone", "mobile phone"],
    "clock": ["alarm clock", "watch"],
    "camera": ["photo camera"],
    "keyboard": ["computer keyboard", "typing"],
    "door": ["gate"],
    "saw": ["chainsaw", "hand saw"],
    "axe": ["hatchet"],
    "glass": ["wine glass", "glasses clinking"],
    "bomb": ["explosion"],
    "clapping hands": ["applause", "clapping"],
    "coin": ["coins", "money"],
    "robot": ["android"],
    "sword": ["swords", "blade"],
    "footprints": ["footsteps", "shoes", "steps"],
    "heart": ["heartbeat"],
}


def table(name: str) -> list[dict[str, str]]:
    with (HERE / "tables" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def concepts() -> list[str]:
    """The 66 concepts, in the order of the images' table."""
    return list(dict.fromkeys(row["concept"] for row in table("pictures.csv")))


def premultiplied(path: Path, size: int) -> Tensor:
    """(4, size, size) uint8 RGBA, colours multiplied by alpha so that resizing leaves no fringe."""
    rgba = np.asarray(Image.open(path).convert("RGBA")).astype(np.float32)
    rgba[..., :3] *= rgba[..., 3:] / 255
    image = Image.fromarray(rgba.round().astype(np.uint8), "RGBA")
    if image.size != (size, size):
        # Channels apart: PIL would premultiply once more when it resizes RGBA.
        bands = [b.resize((size, size), Image.Resampling.BOX) for b in image.split()]
        image = Image.merge("RGBA", bands)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def cached(name: str, make) -> Tensor:
    path = RUNS / "cache" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}.part")
        torch.save(make(), scratch)
        os.replace(scratch, path)
    return torch.load(path, weights_only=True)


class Pictures:
    """Images of one split.

    Attributes:
        rgba: (N, 4, size, size) uint8 premultiplied.
        labels: (N,) index into `names`.
        names: the concepts, or the vocabulary's names in their first order.
        of: for each name, the indices of its images.
    """

    def __init__(
        self, table_name: str, split: str | None, size: int, names: list[str] | None = None
    ):
        key = "concept" if table_name == "pictures.csv" else "name"
        rows = table(table_name)
        self.names = names or list(dict.fromkeys(r[key] for r in rows))
        everything = cached(
            f"{Path(table_name).stem}_{size}.pt",
            lambda: torch.stack([premultiplied(ROOT / r["file"], size) for r in rows]),
        )
        chosen = [i for i, r in enumerate(rows) if split in (None, r["split"])]
        self.rows = [rows[i] for i in chosen]
        self.rgba = everything[chosen]
        index = {name: i for i, name in enumerate(self.names)}
        self.labels = torch.tensor([index[r[key]] for r in self.rows])
        self.of = [torch.nonzero(self.labels == i)[:, 0] for i in range(len(self.names))]

    def one_of_each(self, names: Tensor, generator: torch.Generator) -> Tensor:
        """Indices of one random image for each of the given name indices."""
        draw = torch.rand(len(names), generator=generator)
        return torch.stack(
            [self.of[n][int(r * len(self.of[n]))] for n, r in zip(names, draw, strict=True)]
        )

    def on_white(self, index: Tensor | slice = slice(None), margin: float = 0.06) -> Tensor:
        """(B, 3, size, size) float RGB in [0, 1] on white, with a margin as a share of the side."""
        rgba = self.rgba[index].float() / 255
        size = rgba.shape[-1]
        pad = round(margin * size)
        small = torch.nn.functional.interpolate(
            rgba, size=(size - 2 * pad,) * 2, mode="bilinear", antialias=True
        )
        rgba = torch.nn.functional.pad(small, (pad,) * 4)
        return rgba[:, :3] + 1 - rgba[:, 3:]


def texts_of(name: str) -> tuple[list[str], list[str]]:
    """All training texts of a name: with the name itself, and with its other words."""
    own = [t.format(name) for t in TEMPLATES]
    other = [t.format(s) for s in SYNONYMS.get(name, []) for t in TEMPLATES]
    return own, other or own
