"""Wall time of whole processes on the embedded default, next to the floor of importing torch.

python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

from bindplug.storage.examples import media_folder

MEDIA = media_folder()
BINDPLUG = [sys.executable, "-m", "bindplug"]
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import torch": [sys.executable, "-c", "import torch"],
    "bindplug --help": [*BINDPLUG, "--help"],
    "bindplug embed --text": [*BINDPLUG, "embed", "--text", "a dog"],
    "bindplug embed --audio": [*BINDPLUG, "embed", "--audio", str(MEDIA / "dog.wav")],
    "bindplug detect": [
        *BINDPLUG, "detect", "--audio", str(MEDIA / "dog.wav"), str(MEDIA / "garden.png"),
        "--overwrite",
    ],
}  # fmt: skip


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print(f"{os.cpu_count()} cores; seconds of 3 runs, least first")
    with tempfile.TemporaryDirectory() as folder:
        for name, command in COMMANDS.items():
            times = []
            for _ in range(3):
                start = time.perf_counter()
                subprocess.run(command, cwd=folder, check=True, capture_output=True)
                times.append(time.perf_counter() - start)
            print(f"{name:<24}", "  ".join(f"{t:6.2f}" for t in sorted(times)))


if __name__ == "__main__":
    main()
