"""A folder with the files that the documents' commands name."""

import csv
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from .blocks import ROOT

MEDIA = ROOT / "examples" / "media"
COPIES = {  # what a document calls a file, and the example that stands for it
    "a.wav": "dog.wav", "b.wav": "cat.wav", "new.wav": "dog.wav", "bird.wav": "rooster.wav",
    "train.wav": "horse.wav", "wolf.wav": "horse.wav", "stereo.wav": "rain.wav",
    "long.wav": "rain.wav", "sounds/dog.wav": "dog.wav", "sounds/cat.wav": "cat.wav",
    "sounds/rain.wav": "rain.wav", "labelled/dog/1.wav": "dog.wav", "labelled/dog/2.wav": "dog.wav",
    "labelled/cat/1.wav": "cat.wav", "labelled/cat/2.wav": "cat.wav", "fruit.png": "coffee.png",
    "street.png": "garden.png", "image.png": "garden.png", "query.png": "garden.png",
    "pictures/garden.png": "garden.png", "pictures/farm.png": "farm.png",
    "pictures/chelsea.png": "chelsea.png", "own-pictures/farm.png": "farm.png",
    "generated/dog/1.png": "garden.png", "generated/cat/1.png": "chelsea.png",
    "real/dog/1.png": "farm.png", "real/cat/1.png": "chelsea.png",
    "dog/1.wav": "dog.wav", "dog/2.wav": "dog.wav", "cat/1.wav": "cat.wav",
    "dog/1.png": "garden.png", "dog/2.png": "farm.png", "cat/1.png": "chelsea.png",
    "ESC-50-master/audio/1-100032-A-0.wav": "dog.wav",
    "ESC-50-master/audio/1-17367-A-10.wav": "rain.wav",
}  # fmt: skip


def fill(folder: Path, make_video) -> None:
    """The example media under their own names and under those above, a video, and tables."""
    for path in MEDIA.iterdir():
        if path.suffix != ".csv":
            shutil.copy(path, folder / path.name)
    for name, source in COPIES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(MEDIA / source, folder / name)
    shutil.copytree(MEDIA, folder / "examples" / "media")
    with Image.open(MEDIA / "garden.png") as image:
        for name in ("image.jpg", "phone.jpg"):
            image.convert("RGB").save(folder / name)
    shutil.copy(make_video("green", seconds=2, tone=440), folder / "clip.mp4")
    depth = np.linspace(800, 4000, 64 * 48).reshape(48, 64).astype(np.uint16)  # millimetres
    Image.fromarray(depth).save(folder / "depth.png")
    Image.fromarray((depth // 16).astype(np.uint8)).save(folder / "thermal.png")
    np.savetxt(folder / "imu.csv", np.random.default_rng(0).normal(size=(1000, 6)), delimiter=",")
    _write(folder / "pairs.csv", ["image", "audio", "label"],
           ["dog/1.png", "dog/1.wav", "dog"], ["dog/2.png", "dog/2.wav", "dog"],
           ["cat/1.png", "cat/1.wav", "cat"])  # fmt: skip
    shutil.copy(folder / "pairs.csv", folder / "val.csv")
    np.save(folder / "map.npy", np.linspace(0, 1, 1600, dtype=np.float32).reshape(40, 40))
    _write(folder / "touch.csv", ["image", "touch"], ["dog/1.png", "map.npy"],
           ["cat/1.png", "map.npy"])  # fmt: skip
    (folder / "ESC-50-master" / "meta").mkdir()
    _write(folder / "ESC-50-master" / "meta" / "esc50.csv", ["filename", "fold", "category"],
           ["1-100032-A-0.wav", 1, "dog"], ["1-17367-A-10.wav", 1, "rain"])  # fmt: skip
    _avs(folder / "Single-source" / "s4_data")


def _write(path: Path, *rows: list) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def _avs(folder: Path) -> None:
    """One clip of AVSBench's layout, of one annotated frame, in two splits."""
    for split in ("test", "val"):
        mask, frame, sound = (
            folder / kind / split / "dog" / name
            for kind, name in (
                ("gt_masks", "v/v_1.png"), ("visual_frames", "v/v_1.png"), ("audio_wav", "v.wav")
            )
        )  # fmt: skip
        for path in (mask, frame, sound):
            path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(MEDIA / "garden.png", frame)
        shutil.copy(MEDIA / "dog.wav", sound)
        with Image.open(frame) as image:
            Image.new("L", image.size, 255).save(mask)
