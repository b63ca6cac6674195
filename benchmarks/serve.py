"""`bindplug serve` under load: many clients against one, batches against single inputs.

python benchmarks/serve.py [--clients 64] [--requests 256]

Each request embeds a sound of 2 s of its own, so that nothing is looked up. Three servers are
measured in one run, without batches (`--batch-size 1`), with batches of 4 (the default on a CPU)
and of 32, each with one client and with many; the clients run on the same machine and take their
share of it. "CPU ms" is the server's processor time for a request. Then the server's own time for a
second prompt on an image that it has seen. benchmarks/soak.py keeps up a mixed load.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import re
import subprocess
import sys
import threading
import time
import wave
from collections import deque
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from bindplug.storage.examples import media_folder

RATE = 44_100  # Hz
MEDIA = media_folder()


def sound(seed: int, seconds: float = 2.0) -> bytes:
    """A wav of noise, another for each seed."""
    samples = np.random.default_rng(seed).normal(0, 3000, int(seconds * RATE)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())
    return file.getvalue()


@contextmanager
def serving(*options: str):
    """A server's address and process id."""
    command = [sys.executable, "-m", "bindplug", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        lines = iter(process.stderr.readline, "")
        try:
            address = next(m[1] for line in lines if (m := re.search(r"(http://\S+)", line)))
            # It goes on to warn; once the pipe is full, its threads would wait for a reader.
            threading.Thread(target=deque, args=(lines, 0), daemon=True).start()
            yield address, process.pid
        finally:
            process.terminate()


async def load(address: str, clients: int, sounds: list[bytes]) -> tuple[float, list[float]]:
    """Requests a second, and the seconds that each took."""
    todo, seconds = iter(sounds), []
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as client:

        async def work() -> None:
            for data in todo:
                began = time.perf_counter()
                answer = await client.post("/v1/embed", files={"audio": ("noise.wav", data)})
                answer.raise_for_status()
                seconds.append(time.perf_counter() - began)

        await client.post("/v1/embed", files={"audio": ("warm.wav", sound(10**6))})
        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(clients)))
        return len(sounds) / (time.perf_counter() - began), seconds


def second_prompts(address: str, count: int = 30) -> list[float]:
    """Milliseconds of server time for prompts on an image whose features are kept."""
    out = []
    with httpx.Client(base_url=address, timeout=60) as client:
        image = ("garden.png", (MEDIA / "garden.png").read_bytes())
        found = client.post("/v1/detect", files={"images": image}, data={"text": "a dog"}).json()
        digest = f"sha256:{found['images'][0]['sha256']}"
        for i in range(count):
            answer = client.post("/v1/detect", json={"images": digest, "text": f"thing {i}"})
            out.append(float(answer.headers["server-timing"].partition("dur=")[2]))
    return out


def memory(pid: int) -> int:
    """Resident megabytes."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) // 1024


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=256)
    args = parser.parse_args()
    sounds = [sound(i) for i in range(args.requests)]
    print(f"{'batches of':<12}{'clients':>8}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}"
          f"{'CPU ms':>9}")  # fmt: skip
    for batch in ("1", "4", "32"):
        options = ("--generator", "none", "--detector", "none", "--batch-size", batch)
        with serving(*options) as (address, pid):
            for clients in (1, args.clients):
                some = sounds[: max(len(sounds) // 4, 1)] if clients == 1 else sounds
                before = cpu_seconds(pid)
                rate, seconds = asyncio.run(load(address, clients, some))
                cpu = 1000 * (cpu_seconds(pid) - before) / (len(some) + 1)  # and the warm-up's
                p50, p99 = (1000 * np.percentile(seconds, q) for q in (50, 99))
                print(f"{batch:<12}{clients:>8}{rate:>12.1f}{p50:>9.0f}{p99:>9.0f}{cpu:>9.1f}")
    with serving() as (address, _):
        times = second_prompts(address)
        print(f"second prompt on an image: median {np.median(times):.1f} ms of server time, "
              f"highest {max(times):.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
