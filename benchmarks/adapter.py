"""What the adapter adds to a generator's run of 20 steps, and whether --like makes images again.

python benchmarks/adapter.py [--images 20]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import bindplug
from bindplug.cli import main as bindplug_cli
from bindplug_unclip import conditioning

MEDIA = Path(__file__).resolve().parents[1] / "examples" / "media"


def share(rounds: int = 5) -> None:
    embedder = bindplug.load_embedder("small", "cpu")
    generator = bindplug.load_generator("unclip", "small", "cpu")
    rain = embedder.embed(audio=str(MEDIA / "rain.wav"))
    adapter, run = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        prompt = generator.prepare(rain)
        conditioning(generator.pipe, prompt)
        adapter.append(time.perf_counter() - start)
        start = time.perf_counter()
        generator.generate_batch(prompt, [0])
        run.append(time.perf_counter() - start)
    print(f"adapter {min(adapter) * 1e3:.2f} ms of {min(run):.2f} s = "
          f"{min(adapter) / min(run):.3%} (asked 1 %)")  # fmt: skip


def again(count: int) -> None:
    sounds = sorted(MEDIA.glob("*.wav"))
    with tempfile.TemporaryDirectory() as scratch:
        same = 0
        for i in range(count):
            call = ["generate", "--audio", str(sounds[i % len(sounds)]), "--seed", str(i)]
            if i % 3 == 1:
                call += ["--text", "a tree", "--mix", "0.6,0.4"]
            if i % 3 == 2:
                call += ["--init-image", str(MEDIA / "farm.png"), "--strength", "0.7"]
            first, second = (Path(scratch, f"{n}{i}") for n in "ab")
            bindplug_cli([*call, "-o", str(first)], standalone_mode=False)
            [png] = first.glob("*.png")
            bindplug_cli(["generate", "--like", str(png), "-o", str(second)], standalone_mode=False)
            [other] = second.glob("*.png")
            same += np.array_equal(np.asarray(Image.open(png)), np.asarray(Image.open(other)))
        print(f"--like: {same} of {count} the same, bit for bit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20)
    args = parser.parse_args()
    share()
    again(args.images)


if __name__ == "__main__":
    main()
