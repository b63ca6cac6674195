"""Kill commands at random moments of work: nothing half written, a restart as undisturbed.

    python benchmarks/kills.py --kills 1000

Each round starts a command in a new folder, waits until it has begun to work (its first file is
there: imports do not count), sends SIGKILL or SIGTERM a random moment later, checks that every
file under its own name is whole, runs the same command again and compares with an undisturbed run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

COMMANDS = {
    "embed": ["embed", "--image", "../in", "-o", "x.safetensors", "--batch-size", "1"],
    "detect": ["detect", "--text", "a dog", "../in", "-o", "out", "--resume"],
    "search": ["search", "../in", "--text", "a dog"],
    "generate": ["generate", "--text", "a dog", "--num-images", "2", "-o", "out", "--overwrite"],
}


def environment(place: Path) -> dict:
    return {**os.environ, "BINDPLUG_HOME": str(place / "home"), "OMP_NUM_THREADS": "1"}


def start(name: str, place: Path) -> subprocess.Popen:
    place.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "bindplug", *COMMANDS[name], "--device", "cpu"]
    return subprocess.Popen(
        command, cwd=place, env=environment(place),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def results(place: Path) -> dict[str, bytes]:
    """Files under their own names, by place; JSON, images and vectors are opened to see that they
    are whole."""
    found = {}
    for path in sorted(p for p in place.rglob("*") if p.is_file()):
        if path.name.startswith("."):
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".safetensors":
            load_file(path)
        elif path.suffix in (".npy", ".npz"):
            np.load(path)
        found[str(path.relative_to(place))] = path.read_bytes()
    return found


def kill_once(name: str, place: Path, length: float, chance: random.Random) -> bool:
    """Whether the command was still at work when the signal came."""
    process = start(name, place)
    while process.poll() is None and not any(p.is_file() for p in place.rglob("*")):
        time.sleep(0.002)
    time.sleep(chance.uniform(0, length))
    at_work = process.poll() is None
    sent = chance.choice([signal.SIGKILL, signal.SIGTERM])
    process.send_signal(sent)
    process.wait()
    results(place)
    if sent == signal.SIGTERM and at_work:
        left = [p for p in place.rglob(".*.part")]
        assert not left, f"{name}: SIGTERM left {left}"
    return at_work


def rounds(name: str, kills: int, chance: random.Random, root: Path) -> int:
    whole = root / "whole"
    process = start(name, whole)
    began = None
    while process.poll() is None:
        if began is None and any(p.is_file() for p in whole.rglob("*")):
            began = time.monotonic()
        time.sleep(0.002)
    assert process.returncode == 0, f"{name}: exit {process.returncode}"
    length, want, count = time.monotonic() - (began or time.monotonic()), results(whole), 0
    for _ in range(kills):
        place = root / "broken"
        shutil.rmtree(place, ignore_errors=True)
        count += kill_once(name, place, length, chance)
        again = start(name, place)
        assert again.wait() == 0, f"{name}: the restart ends with {again.returncode}"
        got = results(place)
        assert got.keys() == want.keys(), f"{name}: {got.keys() ^ want.keys()}"
        for file in want:
            if not file.startswith("home/") and not file.endswith(".json"):
                assert got[file] == want[file], f"{name}: {file} differs"
    return count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=COMMANDS)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    names = [arguments.only] if arguments.only else list(COMMANDS)
    for name in names:
        with tempfile.TemporaryDirectory() as root:
            (Path(root) / "in").mkdir()
            for i in range(70):
                image = Image.new("RGB", (96, 64), (3 * i, 90, 200))
                image.save(Path(root, "in", f"{i:03d}.png"))
            kills = -(-arguments.kills // len(names))
            count = rounds(name, kills, chance, Path(root))
        print(f"{name}: {kills} signals, {count} during the work; all results whole")


if __name__ == "__main__":
    main()
