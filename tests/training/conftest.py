import csv
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 220), "grey": (128,) * 3}
PITCHES = {"red": 300, "green": 800, "blue": 1900, "grey": 4200}  # Hz
EACH = 4


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A folder of images of four colours, and of sounds whose pitch goes with the colour: CSVs of
    pairs `train.csv` and `val.csv`, and the same files as folders of classes."""
    import soundfile
    from PIL import Image

    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    rows = []
    for name, colour in COLOURS.items():
        for i in range(EACH):
            image = root / "image" / name / f"{name}{i}.png"
            sound = root / "audio" / name / f"{name}{i}.wav"
            for path in (image, sound):
                path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.array(colour) + rng.normal(0, 12, (48, 64, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(image)
            t = np.arange(16_000) / 16_000
            pitch = PITCHES[name] * (1 + 0.05 * rng.normal())
            wave = 0.5 * np.sin(2 * np.pi * pitch * t) + 0.02 * rng.normal(size=t.shape)
            soundfile.write(sound, wave, 16_000)
            rows.append([str(image), str(sound), name])
    for name, chosen in (("train", [r for i, r in enumerate(rows) if i % EACH]),
                         ("val", [r for i, r in enumerate(rows) if not i % EACH])):  # fmt: skip
        with (root / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["image", "audio", "label"], *chosen])
    return root


@pytest.fixture
def settings(world, imagebind_folder, tmp_path):
    """Settings of a quick run: the small random ImageBind's image and text towers, a new audio
    tower."""
    from bindplug.training.settings import read_settings

    def make(**changes):
        return read_settings({
            "train_data": (str(world / "train.csv"),), "init": f"local:{imagebind_folder}",
            "tower": ("audio=imagebind:width=32,depth=2,heads=2,mel_bins=128",), "batch_size": 6,
            "steps": 6, "lr": 1e-3, "warmup": 2, "views": 2, "logs": str(tmp_path / "logs"),
            **changes,
        })  # fmt: skip

    return make


@pytest.fixture
def train_interrupted(monkeypatch):
    """Train, stopped by an exception before each of some steps and resumed; gives the report."""
    from bindplug.training.run import Training, train

    backward, stop = Training._backward, []

    def stopping(self, step, batch):
        if stop and step == stop[0]:
            raise KeyboardInterrupt
        return backward(self, step, batch)

    def run(settings, steps):
        monkeypatch.setattr(Training, "_backward", stopping)
        for step in sorted(steps):
            stop[:] = [step]
            with pytest.raises(KeyboardInterrupt):
                train(settings, "cpu", resume=True)
        stop.clear()
        return train(settings, "cpu", resume=True)[0]

    return run


@pytest.fixture
def run_twice():
    """Run a Python command as two processes of one run, as torchrun starts them."""

    def run(*arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        env = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
               "MASTER_PORT": str(port)}  # fmt: skip
        started = [
            subprocess.Popen([sys.executable, *arguments], stderr=subprocess.PIPE,
                             env={**env, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(2)
        ]  # fmt: skip
        said = [process.communicate(timeout=120)[1] for process in started]
        assert [process.returncode for process in started] == [0, 0], said

    return run
