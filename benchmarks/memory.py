"""Peak resident memory of `bindplug embed` on 1,000 and on 10,000 sounds.

python benchmarks/memory.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np


def peak(folder: Path, output: Path) -> float:
    """MB that embedding a folder takes at most."""
    command = [sys.executable, "-m", "bindplug", "embed", "--audio", folder, "-o", output]
    process = subprocess.Popen([*command, "--device", "cpu"], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("bindplug embed failed")
    return usage.ru_maxrss / 1024


def main() -> None:
    import soundfile

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        peaks = []
        for count in (1_000, 10_000):
            folder = Path(scratch, str(count))
            folder.mkdir()
            for i in range(count):
                soundfile.write(folder / f"{i:05d}.wav", rng.normal(size=3200) * 0.1, 16_000)
            peaks.append(peak(folder, Path(scratch, f"{count}.npy")))
            print(f"{count:>6} sounds: {peaks[-1]:.0f} MB")
        print(f"growth: {peaks[1] / peaks[0] - 1:+.1%}")


if __name__ == "__main__":
    main()
