"""The training data: tables, images as premultiplied RGBA, photographs, names as texts."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from words import SYNONYMS, TEMPLATES, synonyms

from bindplug.training import Groups

HERE = Path(__file__).parent
# Where the files are that the tables name, and where what is trained goes.
ROOT = Path(os.environ.get("TINYSET", HERE / "tinyset"))
SOUNDS2 = Path(os.environ.get("SOUNDS2", HERE / "sounds2"))
GROUNDS = Path(os.environ.get("BACKGROUNDS", HERE / "backgrounds"))
WHEELS = Path(os.environ.get("WHEELS", HERE / "wheels"))  # the trunks' and word vectors' packages
RUNS = Path(os.environ.get("SMALL_RUNS", HERE / "runs"))
NAME = {"pictures.csv": "concept", "vocab.csv": "name"}  # the column of images' names


def table(name: str) -> list[dict[str, str]]:
    with (HERE / "tables" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def concepts() -> list[str]:
    """The 66 concepts, in the order of the images' table."""
    return list(dict.fromkeys(row["concept"] for row in table("pictures.csv")))


def other_words() -> dict[str, list[tuple[str, str]]]:
    """(word, concept) pairs: those of training, and two lists that it never met as such."""
    out = {"trained": [(word, name) for name in SYNONYMS for word in synonyms(name)]}
    for row in table("other_words.csv"):
        pairs = out.setdefault(f"never trained, {row['set']}", [])
        pairs += [(word, row["concept"]) for word in row["words"].split(", ")]
    return out


def image_paths(table_name: str, split: str) -> dict[str, list[str]]:
    """Of each name the files of its images of a split."""
    out: dict[str, list[str]] = {}
    for row in table(table_name):
        if row["split"] == split:
            out.setdefault(row[NAME[table_name]], []).append(str(ROOT / row["file"]))
    return out


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


def on_white(rgba: Tensor, margin: float = 0.06) -> Tensor:
    """(B, 4, S, S) uint8 premultiplied to (B, 3, S, S) float RGB in [0, 1] on white.

    Args:
        margin: around the image, as a share of the side.
    """
    size = rgba.shape[-1]
    pad = round(margin * size)
    inner = (size - 2 * pad,) * 2
    small = F.interpolate(rgba.float() / 255, size=inner, mode="bilinear", antialias=True)
    x = F.pad(small, (pad,) * 4)
    return x[:, :3] + 1 - x[:, 3:]


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
        of: for each name, the indices of its images; `groups`, the same to draw from.
    """

    def __init__(
        self, table_name: str, split: str | None, size: int, names: list[str] | None = None
    ):
        key, rows = NAME[table_name], table(table_name)
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
        self.groups = Groups([of.tolist() for of in self.of])

    def on_white(self, index: Tensor | slice = slice(None)) -> Tensor:
        """(B, 3, size, size) of the chosen images (`on_white`)."""
        return on_white(self.rgba[index])


def texts_of(name: str, words: list[str] | None = None) -> list[str]:
    """A name, or other words for it, in every wording that training uses."""
    return [t.format(w) for w in ([name] if words is None else words) for t in TEMPLATES]


def grounds() -> list[Tensor]:
    """The photographs of `backgrounds.csv`, (3, H, W) uint8 RGB each."""
    files = [GROUNDS / row["file"] for row in table("backgrounds.csv")]
    return [
        torch.from_numpy(np.array(Image.open(f).convert("RGB"))).permute(2, 0, 1) for f in files
    ]


def sounds() -> list[dict[str, str]]:
    """The rows of both tables of sounds, each with the `path` of its file and its `set`."""
    both = (("sounds.csv", ROOT), ("sounds2.csv", SOUNDS2))
    return [
        {**r, "path": str(root / r["file"]), "set": name}
        for name, root in both
        for r in table(name)
    ]
