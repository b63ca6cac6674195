"""How fast `bindplug train` is, and whether a killed run goes on to the same bits.

python benchmarks/training.py features [--device cuda]   # frozen trunks: cached features or none
python benchmarks/training.py trunk --device cuda        # a trunk of ImageBind's full audio size
python benchmarks/training.py huge imagebind_huge.pth    # two steps of LoRA on the whole model
python benchmarks/training.py kills --kills 20           # SIGKILL at random moments, resumed
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from bindplug.training.run import Training
from bindplug.training.settings import Settings, read_settings, to_toml


def make_world(root: Path, count: int) -> Path:
    """Images of noise and sounds of tones, and a CSV of their pairs."""
    import soundfile

    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        image, sound = root / f"{i}.png", root / f"{i}.wav"
        pixels = rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((256, 256)).save(image)
        t = np.arange(32_000) / 16_000
        soundfile.write(sound, 0.5 * np.sin(2 * np.pi * (200 + 20 * i) * t), 16_000)
        rows.append([image, sound])
    table = root / "pairs.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["image", "audio"], *rows])
    return table


def timed(settings: Settings, device: str) -> tuple[float, float, int]:
    """Seconds before the first step, seconds a step without it, and rows of a step."""
    from bindplug.training.processes import Processes

    began, times = time.perf_counter(), []
    Path(settings.logs, settings.name).mkdir(parents=True, exist_ok=True)
    training = Training(settings, device, Processes(), False)
    batches = training._batches()

    def step(number: int, _) -> float:
        loss = training._backward(number, next(batches))
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter())
        return loss

    training.loop.steps(step, training._after, settings.name)
    batches.close()
    return times[0] - began, (times[-1] - times[0]) / (len(times) - 1), training.setup.plan.sizes[0]


def features(root: Path, device: str, count: int) -> None:
    """A head on the shipped embedder's frozen trunks."""
    table = make_world(root, count)
    common = {"train_data": (str(table),), "init": "small", "tower": ("audio=small,head=linear",),
              "views": 4, "logs": str(root / "logs"), "val_frequency": 1e6,
              "save_seconds": 1e6}  # fmt: skip
    for name, steps, changes in (
        ("computed, then cached", 500, {}),
        ("cached by an earlier run", 500, {}),
    ):
        of = read_settings({**common, **changes, "steps": steps, "name": name.replace(" ", "-")})
        start, each, rows = timed(of, device)
        cached = rows / each
        print(f"{name}: {start:.2f} s to the first step, then {cached:,.0f} pairs/s", flush=True)
    none = uncached(root, read_settings({**common, "steps": 4, "name": "none"}), device)
    print(f"without: {none:,.1f} pairs/s; cached features are {cached / none:,.0f} times as fast")


def uncached(root: Path, settings: Settings, device: str) -> float:
    """Pairs a second where the same trunks run in every step: decode, augment, encode."""
    from bindplug.training.batches import Reader, plan_batches
    from bindplug.training.gradients import backward
    from bindplug.training.processes import Processes

    training = Training(settings, device, Processes(), False)
    setup = training.setup
    reader = Reader(setup.loader, {}, setup.bad)
    times = []
    for batch in plan_batches(setup.plan, reader, range(4), Processes(), settings.workers):
        inputs = {m: x.to(device) for m, x in batch.inputs.items()}
        backward(
            lambda part: setup.binder.embed(part, set()), inputs,
            lambda e: setup.binder.loss(e, None), [], list(training.loop.trained.values()), 4,
        )  # fmt: skip
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter())
    return setup.plan.sizes[0] * (len(times) - 1) / (times[-1] - times[0])


def trunk(root: Path, device: str, count: int) -> None:
    """ImageBind's audio trunk at its full size, from nothing, against cached image features."""
    table = make_world(root, count)
    for name, changes in (
        ("fp32", {}),
        ("bf16", {"precision": "amp_bf16"}),
        ("bf16, GradCache of 4", {"precision": "amp_bf16", "accum_freq": 4}),
        ("bf16, recomputed", {"precision": "amp_bf16", "grad_checkpointing": True}),
        ("bf16, compiled", {"precision": "amp_bf16", "torchcompile": True}),
    ):
        of = read_settings({
            "train_data": (str(table),), "init": "small", "tower": ("audio=imagebind",),
            "batch_size": 128, "steps": 8, "workers": 14, "logs": str(root / "logs"),
            "name": name.replace(" ", "-"), "val_frequency": 1e6, "save_seconds": 1e6, **changes,
        })  # fmt: skip
        if device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats()
        _, each, rows = timed(of, device)
        peak = torch.cuda.max_memory_allocated() / 1e9 if device.startswith("cuda") else 0
        print(f"{name}: {rows / each:,.0f} pairs/s, {peak:.1f} GB", flush=True)


def huge(root: Path, device: str, weights: Path) -> None:
    """Two steps of LoRA on the audio tower of a checkpoint of the released size."""
    table = make_world(root, 4)
    of = read_settings({
        "train_data": (str(table),), "init": f"local:{weights.resolve()}", "steps": 2,
        "tower": ("audio=lora:r=16",), "batch_size": 4, "views": 1, "logs": str(root / "logs"),
        "precision": "amp_bf16" if device.startswith("cuda") else "fp32", "save_seconds": 1e6,
        "val_frequency": 1e6,
    })  # fmt: skip
    start, each, rows = timed(of, device)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{start:.1f} s to the first step, then {each:.2f} s a step of {rows} pairs; "
          f"{memory:.1f} GB resident")  # fmt: skip
    if device.startswith("cuda"):
        print(f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB of GPU memory")


def kills(root: Path, device: str, count: int) -> None:
    """A run killed `count` times at random moments, beside one that was not."""
    table = make_world(root, 24)
    finals = []
    for name, kill in (("whole", 0), ("killed", count)):
        of = read_settings({
            "train_data": (str(table),), "init": "small", "steps": 30 * count, "batch_size": 8,
            "tower": ("audio=imagebind:width=32,depth=2,heads=2",), "save_seconds": 0.05,
            "views": 2, "logs": str(root / "logs"), "name": name,
        })  # fmt: skip
        config = root / f"{name}.toml"
        config.write_text(to_toml(of))
        command = [sys.executable, "-m", "bindplug", "train", "--config", str(config), "--resume",
                   "latest", "--device", device]  # fmt: skip
        checkpoint, rng, done = root / "logs" / name / "checkpoint.pt", random.Random(0), 0
        while done < kill:
            before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as run:
                while run.poll() is None:
                    written = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
                    if written != before:
                        time.sleep(rng.random())
                        run.kill()
                        break
                    time.sleep(0.01)
            if run.returncode == 0:
                break
            done += 1
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        finals.append(load_file(root / "logs" / name / "model" / "model.safetensors"))
    same = all(torch.equal(finals[0][k], finals[1][k]) for k in finals[0])
    print(f"killed {done} times; the weights are {'the same bits' if same else 'OTHERS'}")
    if not same or done < count:
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["features", "trunk", "huge", "kills"])
    parser.add_argument("weights", type=Path, nargs="?", help="of huge")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", type=int, default=128)
    parser.add_argument("--kills", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        if args.what == "features":
            features(root, args.device, args.pairs)
        elif args.what == "trunk":
            trunk(root, args.device, args.pairs)
        elif args.what == "huge":
            huge(root, args.device, args.weights)
        else:
            kills(root, args.device, args.kills)


if __name__ == "__main__":
    main()
