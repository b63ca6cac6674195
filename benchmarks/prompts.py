"""A hundred prompts on one image against one prompt: seconds of `detect`, both in one run.

python benchmarks/prompts.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import bindplug

MEDIA = Path(__file__).resolve().parents[1] / "examples" / "media"


def seconds(detector, image: str, prompts) -> float:
    begin = time.perf_counter()
    detector.detect(image, prompts)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    embedder, detector = bindplug.load_embedder(), bindplug.load_detector()
    words = bindplug.default_vocabulary()[:100]
    prompts = {"one": embedder.embed(text="cat"), "hundred": embedder.embed(text=words)}
    times = {name: [] for name in prompts}
    for _ in range(repeats + 1):  # in turn; the first round warms up
        for name, embedding in prompts.items():
            times[name].append(seconds(detector, str(MEDIA / "garden.png"), embedding))
    one, hundred = (statistics.median(times[name][1:]) for name in prompts)
    print(f"one {one * 1e3:.1f} ms, hundred {hundred * 1e3:.1f} ms, ratio {hundred / one:.2f}")


if __name__ == "__main__":
    main()
