"""From nothing to the embedding of one sound, with the full-size network: naive against bindplug.

python benchmarks/cold_start.py [--folder DIR]      (writes 9.6 GB to DIR once)

Both sides run as processes of their own, in turns; the table has the best time and the least peak
resident memory of each, and their shares. Weights are procedural (benchmarks/procedural.py).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NAIVE = """
import sys, torch
from bindplug.imagebind import ImageBind, imagebind_huge
from bindplug.transforms.audio import transform_audio
model = ImageBind(imagebind_huge())
model.load_state_dict(torch.load(sys.argv[1], weights_only=True))
model.eval()
x = transform_audio(sys.argv[2], model.config.audio)
with torch.inference_mode():
    out = model({"audio": x[None]})["audio"]
print(*torch.nn.functional.normalize(out, dim=-1)[0, :4].tolist())
"""
OURS = """
import sys, bindplug
embedder = bindplug.load_embedder("local:" + sys.argv[1], "cpu")
print(*embedder.embed(audio=sys.argv[2]).vectors[0, :4])
"""


def run(code: str, *args: str) -> tuple[float, float, list[float]]:
    """Seconds, peak resident GB and the numbers printed."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code, *args], stdout=subprocess.PIPE)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("a side failed, see above")
    return time.perf_counter() - began, usage.ru_maxrss / 2**20, [float(x) for x in out.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=tempfile.gettempdir() + "/bindplug-benchmark")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    import soundfile

    folder = Path(args.folder)
    weights, sound = folder / "imagebind_huge.pth", folder / "sound.wav"
    os.environ["BINDPLUG_HOME"] = str(folder / "home")
    if not weights.exists():
        subprocess.run(
            [sys.executable, Path(__file__).with_name("procedural.py"), weights], check=True
        )
    soundfile.write(sound, np.random.default_rng(0).normal(size=(441_000, 2)) * 0.1, 44_100)
    first, _, _ = run(OURS, str(weights), str(sound))
    naive, ours = [], []
    for _ in range(args.rounds):
        naive.append(run(NAIVE, str(weights), str(sound)))
        ours.append(run(OURS, str(weights), str(sound)))
    assert np.allclose(naive[0][2], ours[0][2], atol=1e-5), "the two sides differ"
    print(f"{'':<28}{'naive':>10}{'bindplug':>10}{'share':>8}")
    for i, what in ((0, "seconds, best"), (1, "peak resident GB, least")):
        a, b = (min(r[i] for r in side) for side in (naive, ours))
        print(f"{what:<28}{a:>10.2f}{b:>10.2f}{b / a:>8.3f}")
    print(f"the very first use, which splits the file: {first:.1f} s")
    print(f"{os.cpu_count()} cores; {resource.getpagesize()} bytes a page")


if __name__ == "__main__":
    main()
