"""Damaged uploads, bodies and values against a running `bindplug serve`: no answer is a 5xx, none
holds a traceback or a path, and no file is left.

python benchmarks/fuzz_http.py [--count 2000] [--start 0] [--seed 0] [--schema 0]

A case sends a mutated file (benchmarks/fuzz.py) or a mutated JSON body to one of the endpoints; it
depends on the seed and its number alone. `--schema N` also lets schemathesis, where it is
installed, send N requests to each operation of the OpenAPI document.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import fuzz
from serve import serving

SECONDS = 60
FIELDS = {"wav": "audio", "flac": "audio", "mp3": "audio", "ogg": "audio", "jpg": "image",
          "png": "image", "webp": "image", "avif": "image", "gif": "image", "mp4": "video",
          "npy": "image", "csv": "imu", "txt": "vocabulary"}  # fmt: skip
QUICK = {"threshold": 0.3, "steps": 1, "candidates": 1, "seed": 7}
FOLDERS = "|".join(("tmp", "home", "root"))
LEAK = re.compile(rf"Traceback|File \"|site-packages|/(?:{FOLDERS})/")


def body_of(path: str, field: str, name: str, data: bytes, good: dict) -> dict:
    """The multipart body of a request to an endpoint with one damaged file."""
    parts = [(field, (name, data))]
    if path == "/v1/detect":
        parts = [("images", (name, data))] if field == "image" else parts
        parts += [] if field in ("image", "video") else [("images", ("a.png", good["png"]))]
        parts += [("text", (None, "a dog"))]
        parts = [p for p in parts if p[0] != "imu"] if field == "imu" else parts
    elif field == "vocabulary":
        parts += [("text", (None, "a dog"))]
    if path == "/v1/classify":
        parts = [("labels", (name, data))] if field == "vocabulary" else parts
        parts += [("labels", (None, "dog,cat"))] if field != "vocabulary" else []
        parts += [("text", (None, "a dog"))]
    if path == "/v1/generate":
        parts = [("init_image", (name, data))] if field == "image" else parts
        parts += [("text", (None, "rain"))] if field in ("image", "vocabulary") else []
        parts += [("steps", (None, "1")), ("candidates", (None, "1"))]
    return {"files": parts}


def json_of(rng: np.random.Generator, path: str, good: dict) -> bytes:
    """A JSON body with a mutated text, or a mutated body."""
    image = base64.b64encode(good["png"]).decode()
    data = {"text": ["a dog", "a cat"], "mix": [0.5, 0.5], **QUICK, "option": ["clips=1"],
            "vocabulary": ["dog", "cat"], "labels": "dog,cat", "images": image,
            "inline": True, "bridge": "vocabulary", "num_images": 1, "top_k": 3}  # fmt: skip
    known = {"/v1/embed": ("text", "mix", "option"), "/v1/explain": ("text", "vocabulary", "top_k"),
             "/v1/classify": ("text", "labels", "top_k"),
             "/v1/generate": ("text", "mix", "steps", "candidates", "seed", "inline", "num_images"),
             "/v1/detect": ("text", "mix", "threshold", "images", "vocabulary")}  # fmt: skip
    body = json.dumps({name: data[name] for name in known[path]}).encode()
    for _ in range(int(rng.integers(1, 3))):
        body = fuzz.mutate(body, rng, True)
    return body


@contextmanager
def temporary_folder():
    """Where the server's temporary files go, in place of the system's."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before


def send(client: httpx.Client, files: dict, number: int, seed: int) -> tuple[str, httpx.Response]:
    """Case `number`: what it sends, and the answer."""
    rng = np.random.default_rng([seed, number])
    paths = ("/v1/embed", "/v1/detect", "/v1/explain", "/v1/classify", "/v1/generate")
    path = paths[int(rng.integers(len(paths)))]
    if rng.random() < 0.3:
        content = json_of(rng, path, {"png": files["png"][0]})
        kind = {"Content-Type": "application/json"}
        return f"{path} {content[:80]!r}", client.post(path, content=content, headers=kind)
    ending = list(FIELDS)[int(rng.integers(len(FIELDS)))]
    originals = files[ending]
    data = originals[int(rng.integers(len(originals)))]
    data = fuzz.mutate(data, rng, ending in fuzz.TEXTS)
    good = {"png": files["png"][0]}
    body = body_of(path, FIELDS[ending], f"fuzz.{ending}", data, good)
    return f"{path} {FIELDS[ending]} fuzz.{ending}", client.post(path, **body)


def cases(address: str, count: int, start: int, seed: int) -> tuple[Counter, list[str]]:
    """Statuses, and what is wrong."""
    files, statuses, faults = fuzz.originals(), Counter(), []
    with httpx.Client(base_url=address, timeout=SECONDS) as client:
        for number in range(start, start + count):
            began = time.monotonic()
            try:
                sent, answer = send(client, files, number, seed)
            except httpx.HTTPError as err:
                faults.append(f"case {number}: {type(err).__name__} after "
                              f"{time.monotonic() - began:.1f} s")  # fmt: skip
                continue
            statuses[answer.status_code] += 1
            leak = LEAK.search(answer.text) if answer.status_code >= 400 else None
            if answer.status_code >= 500 or leak:
                faults.append(f"case {number}: {sent}: {answer.status_code} {answer.text[:200]}")
    return statuses, faults


def by_schema(address: str, count: int) -> list[str]:
    """What is wrong with answers to schemathesis's requests."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings

    faults: list[str] = []
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=count,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
            derandomize=True,
        )
        @given(case=operation.as_strategy())
        def check(case) -> None:
            answer = case.call(timeout=SECONDS)
            text = answer.text if "json" in answer.headers.get("content-type", "") else ""
            if answer.status_code >= 500 or (answer.status_code >= 400 and LEAK.search(text)):
                faults.append(f"{case.method} {case.formatted_path}: {answer.status_code} "
                              f"{text[:200]} for {str(case.body)[:300]}")  # fmt: skip

        check()
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--schema", type=int, default=0)
    args = parser.parse_args()
    with temporary_folder() as folder, serving() as (address, _):
        statuses, faults = cases(address, args.count, args.start, args.seed)
        if args.schema:
            faults += by_schema(address, args.schema)
        alive = httpx.get(f"{address}/metrics").text
        for gauge in ("bindplug_requests_open", "bindplug_held_bytes", "bindplug_queue_length"):
            if f"\n{gauge} 0\n" not in alive:
                faults.append(f"{gauge} is not 0 at the end")
        left = [p for p in folder.rglob("*") if p.is_file() and "bindplug-locks" not in str(p)]
        faults += [f"{path.name}: is left" for path in left]
    for fault in faults[:20]:
        print(fault)
    print(f"{args.count} cases, {dict(statuses)}; {len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
