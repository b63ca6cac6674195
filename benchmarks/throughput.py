"""Clips, images and texts a second: file by file against bindplug's stream.

python benchmarks/throughput.py [--model local:imagebind_huge.pth] [--count 200] [--device cpu]

The naive side reads a file, runs the network on it, and goes on to the next, for an ImageBind with
the reference's three clips a sound; ours decodes ahead in threads, batches, and leaves out clips
that are copies. Both sides in turns, the best of some rounds. On a GPU, `--matrix` measures an
ImageBind's images in bfloat16 against the device's own rate for matrix products.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

import bindplug
from bindplug.models.imagebind import ImageBindNetwork
from bindplug.transforms.audio import transform_audio


def naive(network, modality: str, items: list, device: str) -> np.ndarray:
    out = []
    for item in items:
        if modality == "audio" and isinstance(network, ImageBindNetwork):
            clips = transform_audio(item, network.config.audio)
        else:
            clips = network.transform(modality, item)[0]
        with torch.inference_mode():
            mean = network.encode(modality, clips.to(device)).mean(dim=0, keepdim=True)
        out.append(torch.nn.functional.normalize(mean, dim=-1).cpu().numpy())
    return np.concatenate(out)


def inputs(folder: Path, count: int) -> dict[str, list]:
    """Sounds of 1 s and of 10 s at 44.1 kHz, images of 640 x 480, texts."""
    import soundfile
    from PIL import Image

    rng = np.random.default_rng(0)
    files: dict[str, list] = {"audio, 1 s": [], "audio, 10 s": [], "image": [], "text": []}
    for i in range(count):
        for seconds in (1, 10):
            path = folder / f"{seconds}-{i}.wav"
            soundfile.write(path, rng.normal(size=(44_100 * seconds, 2)) * 0.1, 44_100)
            files[f"audio, {seconds} s"].append(str(path))
        path = folder / f"{i}.jpg"
        Image.fromarray(rng.integers(0, 255, (480, 640, 3), np.uint8)).save(path)
        files["image"].append(str(path))
        files["text"].append(f"a photo of thing number {i}")
    return files


def seconds_of(work, device: str) -> float:
    began = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - began


def matrix_rate(device: str) -> float:
    """FLOP/s of one large bfloat16 product."""
    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    seconds = min(seconds_of(lambda: [a @ a for _ in range(10)], device) for _ in range(5))
    return 10 * 2 * 8192**3 / seconds


def image_share(embedder, device: str, batch: int = 256) -> float:
    """FLOP/s of the vision trunk on resident images, by its matrix products alone."""
    model = embedder.network._trunk("vision")
    c = model.config.vision
    tokens = (c.image_size // c.patch_size) ** 2 + 1
    each = c.depth * (24 * tokens * c.width**2 + 4 * tokens**2 * c.width)
    x = torch.randn(batch, 3, c.image_size, c.image_size, device=device)
    with torch.inference_mode():
        work = partial(model.encode_clips, "vision", x)
        seconds = min(seconds_of(work, device) for _ in range(5))
    print(f"vision trunk: {batch / seconds:.0f} images/s")
    return batch * each / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="small")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--modalities", default="audio,image,text")
    parser.add_argument("--matrix", action="store_true")
    args = parser.parse_args()
    embedder = bindplug.load_embedder(args.model, args.device)
    if args.matrix and not isinstance(embedder.network, ImageBindNetwork):
        parser.error("--matrix is for an ImageBind; give --model local:PATH")
    print(f"{args.model} on {args.device}, {torch.get_num_threads()} threads")
    print(f"{'inputs a second':<16}{'naive':>10}{'bindplug':>10}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name, items in inputs(Path(folder), args.count).items():
            modality = name.split(",")[0]
            if modality not in args.modalities.split(","):
                continue
            sides = {
                "naive": lambda s=modality, i=items: naive(embedder.network, s, i, args.device),
                "ours": lambda s=modality, i=items: embedder.embed(**{s: i}).vectors,
            }
            out = {side: work() for side, work in sides.items()}  # warms up
            assert np.allclose(out["naive"], out["ours"], atol=1e-4), "the two sides differ"
            times = {side: [] for side in sides}
            for _ in range(args.rounds):
                for side, work in sides.items():
                    times[side].append(seconds_of(work, args.device))
            a, b = (len(items) / min(times[side]) for side in sides)
            print(f"{name:<16}{a:>10.1f}{b:>10.1f}{b / a:>8.2f}")
    if args.matrix:
        half = bindplug.load_embedder(args.model, args.device, dtype="bfloat16")
        share = image_share(half, args.device) / matrix_rate(args.device)
        print(f"images in bfloat16 at {share:.0%} of the matrix rate")


if __name__ == "__main__":
    main()
