"""A mixed load on `bindplug serve`, good and bad requests at the same time, for some minutes.

python benchmarks/soak.py [--minutes 10] [--clients 16] [--seed 0]

Clients embed sounds, detect, classify, explain, generate a few images, leave streams in the middle,
and send damaged files, unknown fields and broken bodies in between; what a request is depends on
the seed and its number alone. Every answer must be the status that is expected of its kind, or 429.
At the end the script says the answers by kind and status, the server's resident memory minute by
minute, and what is left in its temporary folder; it exits with 1 where a status was unexpected,
memory grew by more than a tenth from a fifth of the time (minute 2 of 10) to the end, a file is
left, or the server still counts open requests. The server keeps results for a minute here, in place
of ten (256 MB of them at most): else its memory would grow by them all the time.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from fuzz_http import temporary_folder
from serve import MEDIA, memory, serving, sound

GROWTH = 0.1  # of memory that counts as flat
LOCKS = "bindplug-locks"  # of caches, in the temporary folder: they stay
IMAGE, DOG = ((MEDIA / name).read_bytes() for name in ("garden.png", "dog.wav"))


@dataclass(frozen=True)
class Kind:
    """One kind of request: how often it is sent, its path, its body by a random generator, and the
    statuses that it may have."""

    share: int
    path: str
    body: Callable[[np.random.Generator], dict]
    statuses: tuple[int, ...] = (200,)
    leave: bool = False  # close the connection at the first event


def number(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 30))


def files(*parts: tuple[str, str, bytes], **data: str) -> dict:
    return {"files": [(field, (name, content)) for field, name, content in parts], "data": data}


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut somewhere, with a byte changed."""
    out = bytearray(data[: int(rng.integers(1, len(data)))])
    out[int(rng.integers(len(out)))] ^= 1 << int(rng.integers(8))
    return bytes(out)


FEW = {"steps": 3, "candidates": 1}
KINDS = {
    "embed a sound": Kind(24, "/v1/embed", lambda r: files(
        ("audio", "a.wav", sound(number(r), float(r.uniform(0.1, 5)))))),
    "embed texts": Kind(8, "/v1/embed", lambda r: {"json": {"text": [f"{number(r)}", "a dog"]}}),
    "detect": Kind(8, "/v1/detect", lambda r: files(
        ("images", "g.png", IMAGE), ("audio", "a.wav", sound(number(r))), overlay="true")),
    "classify": Kind(12, "/v1/classify", lambda r: {
        "json": {"text": f"thing {number(r)}", "labels": ["dog", "cat", f"{number(r) % 50}"]}}),
    "explain": Kind(8, "/v1/explain", lambda r: files(("audio", "a.wav", sound(number(r))))),
    "generate": Kind(3, "/v1/generate", lambda r: {"json": {"text": f"{number(r)}", **FEW}}),
    "leave a stream": Kind(3, "/v1/generate", lambda r: {
        "json": {"text": "rain", "stream": True, "steps": 200, "candidates": 1}}, leave=True),
    "damaged sound": Kind(6, "/v1/embed", lambda r: files(
        ("audio", "a.wav", damaged(DOG, r))), (200, 400)),
    "damaged image": Kind(6, "/v1/detect", lambda r: files(
        ("images", "g.png", damaged(IMAGE, r)), text="a dog"), (200, 400)),
    "damaged prompt": Kind(3, "/v1/generate", lambda r: files(
        ("audio", "a.wav", b"RIFF" + r.bytes(100)), steps="1"), (400,)),
    "unknown field": Kind(5, "/v1/embed", lambda r: {"json": {"texts": f"{number(r)}"}}, (400,)),
    "broken body": Kind(5, "/v1/embed", lambda r: {
        "content": b"{" * int(r.integers(1, 5000)),
        "headers": {"Content-Type": "application/json"}}, (400,)),
    "gone image": Kind(3, "/v1/detect", lambda r: {
        "json": {"images": "sha256:" + r.bytes(32).hex(), "text": "a dog"}}, (404,)),
    "too large": Kind(1, "/v1/embed", lambda r: files(("audio", "a.wav", bytes(65_000_000))),
                      (413,)),
}  # fmt: skip
NAMES = [name for name, kind in KINDS.items() for _ in range(kind.share)]


async def ask(client: httpx.AsyncClient, kind: Kind, body: dict) -> httpx.Response:
    """The answer; of a stream that is left, its head alone."""
    if not kind.leave:
        return await client.post(kind.path, **body)
    async with client.stream("POST", kind.path, **body) as answer:
        async for _ in answer.aiter_lines():
            break
        return answer


async def soak(address: str, pid: int, seconds: float, clients: int, seed: int):
    """Answers by (kind, status), what was unexpected, and (seconds, megabytes) marks."""
    counts, faults, marks = Counter(), [], []
    numbers, began = iter(range(1 << 60)), time.monotonic()
    until = began + seconds
    async with httpx.AsyncClient(base_url=address, timeout=120) as client:

        async def work() -> None:
            while time.monotonic() < until:
                rng = np.random.default_rng([seed, next(numbers)])
                name = NAMES[int(rng.integers(len(NAMES)))]
                kind = KINDS[name]
                try:
                    answer = await ask(client, kind, kind.body(rng))
                except httpx.HTTPError as err:
                    # The server closes a connection whose body is too large while it still comes.
                    status = 413 if 413 in kind.statuses else type(err).__name__
                    counts[name, status] += 1
                    faults.extend([f"{name}: {status}"] if status != 413 else [])
                    continue
                counts[name, answer.status_code] += 1
                if answer.status_code == 429:
                    await asyncio.sleep(float(answer.headers["retry-after"]))
                elif answer.status_code not in kind.statuses:
                    words = "" if kind.leave else answer.text[:200]
                    faults.append(f"{name}: {answer.status_code} {words}")

        async def watch() -> None:
            while (now := time.monotonic()) < until:
                marks.append((now - began, memory(pid)))
                await asyncio.sleep(min(seconds / 10, 60))

        await asyncio.gather(watch(), *(work() for _ in range(clients)))
        marks.append((time.monotonic() - began, memory(pid)))
        await asyncio.sleep(5)  # what clients have left ends at its next step
        metrics = (await client.get("/metrics")).text
    still_open = float(re.search(r"^bindplug_requests_open (\S+)", metrics, re.MULTILINE)[1])
    faults += [f"{still_open:g} requests are still open"] if still_open else []
    return counts, faults, marks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    seconds = 60 * args.minutes
    with temporary_folder() as folder, serving("--keep", "60") as (address, pid):
        counts, faults, marks = asyncio.run(soak(address, pid, seconds, args.clients, args.seed))
        left = [str(p) for p in folder.rglob("*") if p.is_file() and LOCKS not in str(p)]
    for name in KINDS:
        of = {str(status): n for (kind, status), n in sorted(counts.items(), key=str)
              if kind == name}  # fmt: skip
        print(f"{name:<16}{of}")
    print(f"{counts.total()} requests in {marks[-1][0]:.0f} s, {args.clients} clients")
    print("MB by minute:", ", ".join(f"{at / 60:.1f}: {mb}" for at, mb in marks))
    early = next(mb for at, mb in marks if at >= 0.195 * seconds)
    growth = marks[-1][1] / early - 1
    print(f"memory from a fifth of the time to the end: {growth:+.1%}")
    faults += [f"memory grew by {growth:.1%}"] if growth > GROWTH else []
    faults += [f"left in the temporary folder: {path}" for path in left]
    print("files left:", len(left))
    for fault, n in Counter(faults).most_common(20):
        print(f"FAULT {n} x {fault}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
