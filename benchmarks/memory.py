"""Peak resident memory against the length of the job: sounds embedded, images searched, and a film
of an hour searched by its own sound with 512-d vectors.

python benchmarks/memory.py [embed] [detect] [video]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

MEDIA = Path(__file__).resolve().parents[1] / "examples" / "media"
WIDTH = 512  # of the vectors that search a film
RATE, SIZE, HERTZ = 2, (160, 120), 16_000  # of the film: frames a second, pixels, of its sound


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


def wide_model(folder: Path) -> Path:
    """A small random ImageBind of text and audio with 512-d vectors."""
    import torch

    from bindplug.imagebind import (
        AudioConfig,
        ImageBind,
        ImageBindConfig,
        TextConfig,
        save_imagebind,
    )

    torch.manual_seed(0)
    audio, text = AudioConfig(width=64, depth=2, heads=2), TextConfig(width=64, depth=2, heads=2)
    none = dict.fromkeys(("vision", "depth", "thermal", "imu"))
    config = ImageBindConfig(embed_dim=WIDTH, audio=audio, text=text, **none)
    save_imagebind(ImageBind(config), folder, {"space": "wide", "templates": ["{}"]})
    return folder


def write_film(path: Path, minutes: int) -> None:
    """One minute, again and again: a picture that moves for each of the sounds of examples/media,
    RATE frames a second."""
    import av
    import soundfile
    from PIL import Image

    pictures = [Image.open(MEDIA / f"{name}.png").convert("RGB") for name in ("farm", "garden")]
    sounds = [soundfile.read(p, dtype="float32")[0] for p in sorted(MEDIA.glob("*.wav"))]
    minute = np.resize(np.concatenate(sounds), 60 * HERTZ)[None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height = SIZE
        sound = container.add_stream("aac", rate=HERTZ)
        for i in range(minutes * 60 * RATE):
            second = i // RATE % 60
            picture = pictures[second // 10 % 2].rotate(0, translate=(i % (60 * RATE) % 40, 0))
            frame = av.VideoFrame.from_image(picture.resize(SIZE))
            frame.pts = i
            container.mux(stream.encode(frame))
            if i % RATE == 0:
                block = np.ascontiguousarray(minute[:, second * HERTZ : (second + 1) * HERTZ])
                block = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                block.sample_rate, block.pts = HERTZ, i // RATE * HERTZ
                container.mux(sound.encode(block))
        container.mux(stream.encode())
        container.mux(sound.encode())


def video(scratch: Path, minutes: int) -> float:
    film, out = scratch / f"{minutes}.mp4", scratch / f"film{minutes}"
    write_film(film, minutes)
    model = f"local:{wide_model(scratch / 'wide')}"
    found = peak("detect", "--video", film, "-o", out, "--model", model, "--threshold", 0.05)
    timeline = json.loads((out / f"{minutes}.json").read_text())
    print(f"{minutes} minutes: {len(timeline['windows'])} windows, "
          f"{sum(len(t['boxes']) for t in timeline['tracks'])} objects", flush=True)  # fmt: skip
    return found


JOBS = {
    "embed": (embed, "sounds", (1_000, 10_000)),
    "detect": (detect, "pictures", (100, 1_000)),
    "video": (video, "minutes of video", (5, 60)),
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
