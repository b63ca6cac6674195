"""Peak resident memory against the length of the job: sounds embedded, images searched, and a
video searched.

python benchmarks/memory.py [embed] [detect] [video]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MEDIA = Path(__file__).resolve().parents[1] / "examples" / "media"


def peak(*arguments) -> float:
    """MB that a bindplug command takes at most."""
    command = [sys.executable, "-m", "bindplug", *map(str, arguments), "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"bindplug {arguments[0]} failed")
    return usage.ru_maxrss / 1024


def embed(scratch: Path, count: int) -> float:
    import soundfile

    rng, folder = np.random.default_rng(0), scratch / f"sounds{count}"
    folder.mkdir()
    for i in range(count):
        soundfile.write(folder / f"{i:05d}.wav", rng.normal(size=3200) * 0.1, 16_000)
    return peak("embed", "--audio", folder, "-o", scratch / f"{count}.npy")


def detect(scratch: Path, count: int) -> float:
    folder = scratch / f"pictures{count}"
    folder.mkdir()
    for i in range(count):
        (folder / f"{i:05d}.png").symlink_to(MEDIA / ("farm.png" if i % 2 else "garden.png"))
    return peak("detect", "--audio", MEDIA / "rooster.wav", folder, "--threshold", 0.02,
                "--json", scratch / f"{count}.json", "-o", scratch / f"out{count}")  # fmt: skip


def video(scratch: Path, seconds: int) -> float:
    import av

    path = scratch / f"{seconds}.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 320, 240
        sound = container.add_stream("aac", rate=16_000)
        for i in range(seconds * 10):
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), i % 255, np.uint8), "rgb24")
            frame.pts = i
            container.mux(stream.encode(frame))
            if i % 10 == 0:
                noise = (rng.normal(size=(1, 16_000)) * 0.1).astype(np.float32)
                block = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
                block.sample_rate, block.pts = 16_000, i * 1600
                container.mux(sound.encode(block))
        container.mux(stream.encode())
        container.mux(sound.encode())
    return peak("detect", "--video", path, "-o", scratch / f"film{seconds}")


JOBS = {
    "embed": (embed, "sounds", (1_000, 10_000)),
    "detect": (detect, "pictures", (100, 1_000)),
    "video": (video, "seconds of video", (30, 300)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jobs", nargs="*", default=list(JOBS))
    with tempfile.TemporaryDirectory() as scratch:
        for name in parser.parse_args().jobs:
            measure, what, counts = JOBS[name]
            peaks = [measure(Path(scratch), count) for count in counts]
            for count, mega in zip(counts, peaks, strict=True):
                print(f"{count:>6} {what}: {mega:.0f} MB")
            print(f"{name}: growth {peaks[1] / peaks[0] - 1:+.1%}")


if __name__ == "__main__":
    main()
