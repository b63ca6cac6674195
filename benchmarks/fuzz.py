"""Damaged files against the functions that read them: an error is one line, never another fault.

python benchmarks/fuzz.py [--count 20000] [--start 0] [--seed 0] [--only wav,png]

Each case mutates one small file of the script's own (bits, cuts, splices, extreme numbers in the
header, tokens in texts) by a generator of random numbers that depends on the seed and the case's
number alone, so `--start N --count 1` is case N again. A case is a fault when its reader raises
anything but BindplugError, takes more than 10 s or 3 GB, or leaves a file behind.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np

import bindplug
from bindplug.embedding.classifier import read_labels
from bindplug.embedding.inputs import read_list
from bindplug.embedding.modalities import prepare
from bindplug.errors import BindplugError

MEDIA = Path(__file__).resolve().parents[1] / "examples" / "media"
SECONDS, MEMORY = 10, 3 << 30  # a case may take
EXTREMES = (b"\0", b"\1", b"\x7f", b"\x80", b"\xff")
TEXTS = ("json", "csv", "txt", "jsonl", "safetensors", "index")  # wholly or in part
TOKENS = (b"\0", b"\xff", b"\xef\xbb\xbf", b'"', b",", b"\n", b"{", b"]", b"NaN", b"-1", b"1e999",
          b"null", b'"\\ud800"', b"[" * 3000, b"9" * 5000, b"..", b"/", b"true")  # fmt: skip
VALUE = re.compile(rb'"[^"\n]*"|-?[0-9][0-9.]*')
VALUES = (b"null", b"[]", b"{}", b"[1]", b"-1", b"0", b"1e999", b"NaN", b"true", b'""', b'"x"',
          b"7", b"1.5", b"99999999999999999999")  # fmt: skip


class TooSlow(BaseException):
    """A case's time is over; no handler of ordinary exceptions catches it."""


def originals() -> dict[str, list[bytes]]:
    """Small files by their ending."""
    import av
    import soundfile
    from PIL import Image

    rng = np.random.default_rng(0)
    wave = (0.3 * np.sin(np.arange(8000) * 0.2) + 0.01 * rng.normal(size=8000)).astype("f4")
    array = rng.integers(0, 255, (24, 32, 3)).astype(np.uint8)
    image = Image.fromarray(array)
    out: dict[str, list[bytes]] = {"wav": [(MEDIA / "horse.wav").read_bytes()[:20_000]]}
    for ending, kind in (("wav", "WAV"), ("flac", "FLAC"), ("mp3", "MP3"), ("ogg", "OGG")):
        file = io.BytesIO()
        soundfile.write(file, wave, 16_000, format=kind)
        out.setdefault(ending, []).append(file.getvalue())
    for ending in ("jpg", "png", "webp", "avif", "gif"):
        file = io.BytesIO()
        image.save(file, "JPEG" if ending == "jpg" else ending)
        out[ending] = [file.getvalue()]
    out["png"].append((MEDIA / "garden.png").read_bytes())
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=5)
        sound = container.add_stream("aac", rate=16_000)
        video.width, video.height, video.pix_fmt = 32, 24, "yuv420p"
        for _ in range(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        for at in range(0, 7168, 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1024], "fltp", "mono")
            frame.sample_rate, frame.pts = 16_000, at
            container.mux(sound.encode(frame))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    out["mp4"] = [file.getvalue()]
    out["npy"] = []
    for values in (rng.random((9, 12)).astype("f4"), rng.integers(0, 9, (9, 12), dtype="i4")):
        file = io.BytesIO()
        np.save(file, values)
        out["npy"].append(file.getvalue())
    header = json.dumps({
        "__metadata__": {"space": "small", "labels": '["a", "b"]', "job": "x", "errors": "[]"},
        "vectors": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
    }).encode()  # fmt: skip
    header += b" " * (-len(header) % 8)
    out["safetensors"] = [len(header).to_bytes(8, "little") + header + wave[:8].tobytes()]
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
        "categories": [{"id": 1, "name": "dog", "sound": "d.wav"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4.5],
                         "area": 12, "iscrowd": 0}],
    }  # fmt: skip
    out["json"] = [json.dumps(coco).encode()]
    out["csv"] = [
        b"filename,fold,category\nfuzz.csv,1,a\nfuzz.csv,2,b; c\n",
        b"text,imu\na dog,fuzz.csv\ncat,fuzz.csv\n",
        b"\n".join(b"%d,0.1,0.2,9.8,0.01,0.02,0.03" % i for i in range(40)),
    ]
    out["txt"] = [b"dog\ncat: kitten | tom\nsea\n"]
    out["jsonl"] = [b'{"audio": "a.wav"}\nb.png\n{"text": "a dog"}\n']
    return out


def readers(network) -> dict[str, list[Callable]]:
    """The functions that each kind of file is given to; each takes a path."""
    from bindplug.bridge.vocabulary import read_vocabulary
    from bindplug.evaluation.boxes import read_coco
    from bindplug.evaluation.datasets import read_classified, read_pairs
    from bindplug.evaluation.detection import coco_figures
    from bindplug.imagebind import config
    from bindplug.storage.state_dict import read_state
    from bindplug.storage.vector_file import map_vectors, read_metadata

    vision = config.VisionConfig(image_size=64, patch_size=16)
    sizes = {
        "audio": config.AudioConfig(), "image": vision, "video": vision, "imu": config.IMUConfig(),
        "depth": config.DepthConfig(), "thermal": config.ThermalConfig(),
    }  # fmt: skip

    def transform(modality: str, in_memory: bool = False, own: bool = False, **options) -> Callable:
        def read(path: Path):
            source = io.BytesIO(path.read_bytes()) if in_memory else str(path)
            if own:
                return network.transform(modality, source, **options)
            return prepare(modality, source, sizes[modality], options)

        return read

    def coco(path: Path):
        truth = read_coco(path)
        found = [{**a, "score": 0.5} for a in truth["annotations"]]
        return coco_figures(truth, found, str(path))

    def prompts(path: Path):
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            return read_list(file)

    media = ("audio", "image", "video")
    ways = list(product((False, True), repeat=2))  # in memory; the network's own, or ImageBind's
    sounds, images, films = ([transform(m, *way) for way in ways] for m in media)
    images.append(transform("image", upright=True))
    gray = [transform("depth"), transform("thermal")]
    return {
        **dict.fromkeys(("wav", "flac", "mp3", "ogg"), sounds),
        **dict.fromkeys(("jpg", "webp", "avif", "gif"), images),
        "png": [*images, *gray],
        "npy": gray,
        "mp4": [*films, transform("audio")],
        "safetensors": [read_metadata, lambda p: np.asarray(map_vectors(p)).sum(), read_state],
        "json": [coco],
        "csv": [
            lambda p: read_classified(p, "imu"),
            lambda p: read_pairs(p, ("text", "imu")),
            transform("imu", rate=200),
        ],
        "txt": [lambda p: read_labels(str(p)), lambda p: read_vocabulary(str(p))],
        "jsonl": [prompts],
    }


def add_index(files: dict, given: dict, embedder, folder: Path) -> None:
    """The kind "index": the search index of a folder with one image, kept below `folder`."""
    from bindplug.embedding.index import index_folder

    os.environ["BINDPLUG_HOME"] = str(folder / "home")
    (folder / "images").mkdir()
    (folder / "images" / "a.png").write_bytes(files["png"][0])
    query = embedder.embed(text="a dog")

    def search():
        return index_folder(embedder, folder / "images").search(query)

    search()
    [kept] = (path for path in (folder / "home").rglob("*.safetensors") if path.is_file())
    files["index"] = [kept.read_bytes()]

    def read(path: Path):
        kept.write_bytes(path.read_bytes())
        search()

    given["index"] = [read]


def mutate(data: bytes, rng: np.random.Generator, is_text: bool) -> bytes:
    """One to three changes of a file's bytes."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        size = len(out)
        if size < 2:
            break
        kind = rng.integers(0, 5)
        at = int(rng.integers(0, size))
        span = int(min(rng.integers(1, 65), size - at))
        if kind == 0:  # flip bits
            for place in rng.integers(0, size, rng.integers(1, 9)):
                out[place] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:  # cut short
            del out[at:]
        elif kind == 2:  # move, repeat or drop a piece
            to, piece = int(rng.integers(0, size)), bytes(out[at : at + span])
            out[to : to + int(rng.integers(0, span + 1))] = piece if rng.random() < 0.7 else b""
        elif kind == 3 and is_text:
            out[at:at] = TOKENS[rng.integers(0, len(TOKENS))]
        elif kind == 4 and is_text and (found := VALUE.search(out, at)):  # another value
            out[found.start() : found.end()] = VALUES[rng.integers(0, len(VALUES))]
        else:  # an extreme or random number, most often in the header
            at = int(rng.integers(0, min(size, 256 if rng.random() < 0.8 else size)))
            width = 1 << int(rng.integers(0, 4))
            word = EXTREMES[rng.integers(0, 5)] * width if rng.random() < 0.7 else rng.bytes(width)
            out[at : at + width] = word
    return bytes(out)


def run(count: int, start: int, seed: int, only: list[str] | None, scratch: Path) -> list[str]:
    """Cases start .. start + count; a line for each fault, and a table on stdout."""
    embedder, files = bindplug.load_embedder("small", "cpu"), originals()
    given, folder = readers(embedder.network), scratch / "mutants"
    add_index(files, given, embedder, scratch)
    folder.mkdir()
    names = sorted(only or files)
    rare = ("avif", "index", "mp4", "png")
    weights = np.array([1.0 if name in rare else 3.0 for name in names])
    tried, refused, faults = Counter(), Counter(), []
    for number in range(start, start + count):
        rng = np.random.default_rng((seed, number))
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        data = files[name][rng.integers(0, len(files[name]))]
        read = given[name][rng.integers(0, len(given[name]))]
        path = folder / f"fuzz.{name}"
        path.write_bytes(mutate(data, rng, name in TEXTS))
        tried[name] += 1
        before, fault = time.perf_counter(), ""
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            read(path)
        except BindplugError as err:
            refused[name] += 1
            if "\n" in str(err) or not str(err):
                fault = f"a message that is not one line: {str(err)[:200]!r}"
        except (Exception, TooSlow) as err:
            where = traceback.extract_tb(err.__traceback__)
            own = [f for f in where if "bindplug" in f.filename] or where
            place = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
            fault = f"{type(err).__name__} at {place}: {str(err)[:100]!r}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if time.perf_counter() - before > SECONDS:
            fault = fault or "too slow"
        left = sorted(p.name for p in folder.iterdir() if p != path)
        path.unlink()
        if left:
            fault = f"left behind: {left[0]}"
            for other in left:
                (folder / other).unlink()
        if fault:
            faults.append(f"case {number} ({name}): {fault}")
    for name in names:
        print(f"{name:<12} {tried[name]:6} tried {refused[name]:6} refused")
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="endings, separated by commas")
    asked = parser.parse_args()

    def stop(*_):
        raise TooSlow

    import torch  # noqa: F401, counts before the limit

    signal.signal(signal.SIGALRM, stop)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    logging.disable(logging.CRITICAL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders in C write there
    only = asked.only.split(",") if asked.only else None
    with tempfile.TemporaryDirectory() as folder:
        faults = run(asked.count, asked.start, asked.seed, only, Path(folder))
    print(*faults, f"{len(faults)} faults", sep="\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
