"""CPU speed of exported encoders on onnxruntime against torch, one thread each, in turn.

Not called onnx.py, which would hide the package of that name.

OMP_NUM_THREADS=1 python benchmarks/onnx_speed.py
OMP_NUM_THREADS=1 python benchmarks/onnx_speed.py local:/path/imagebind_huge.pth
OMP_NUM_THREADS=1 python benchmarks/onnx_speed.py --wide   # ImageBind's widths, two blocks, random
"""

import argparse
import os
import statistics
import tempfile
import time

import torch

import bindplug
from bindplug.imagebind import ImageBind, ImageBindConfig
from bindplug.imagebind import config as sizes
from bindplug.models.imagebind import ImageBindNetwork

MODALITIES = ("image", "text", "audio")
ROUNDS = 7


def wide() -> bindplug.Embedder:
    """ImageBind's widths and two blocks of each trunk: what a block costs, without the weights."""
    config = ImageBindConfig(
        vision=sizes.VisionConfig(depth=2), text=sizes.TextConfig(depth=2),
        audio=sizes.AudioConfig(depth=2), depth=None, thermal=None, imu=None,
    )  # fmt: skip
    model = ImageBind(config).eval()
    return bindplug.Embedder(ImageBindNetwork(config, lambda trunk: model), "wide")


def seconds(work, *args) -> float:
    start = time.perf_counter()
    work(*args)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="small")
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error("set OMP_NUM_THREADS=1, which both follow")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    embedder = wide() if args.wide else bindplug.load_embedder(args.model, "cpu")
    modalities = [m for m in MODALITIES if m in embedder.modalities]
    with tempfile.TemporaryDirectory() as folder:
        given = embedder if args.wide else args.model
        bindplug.export_onnx(given, f"{folder}/onnx", modalities)
        onnx = bindplug.load_embedder(f"onnx:{folder}/onnx")
        print(f"{args.model if not args.wide else 'wide'}, batches of {args.batch}, one thread; "
              f"median of {ROUNDS} rounds, ms a clip")  # fmt: skip
        for modality in modalities:
            encoder = onnx.network.manifest.encoders[modality]
            shape = (args.batch, *encoder.input["shape"][1:])
            is_ids = encoder.input["dtype"] == "int64"
            clips = torch.randint(1, 300, shape) if is_ids else torch.randn(shape)
            ours, torchs = [], []
            with torch.inference_mode():
                for _ in range(ROUNDS + 1):  # the first loads the weights
                    torchs.append(seconds(embedder.network.encode, modality, clips))
                    ours.append(seconds(onnx.network.encode, modality, clips.numpy()))
            a, b = (1e3 * statistics.median(t[1:]) / args.batch for t in (torchs, ours))
            print(f"{modality:<6} torch {a:8.2f}   onnxruntime {b:8.2f}   {a / b:.2f} x as fast")


if __name__ == "__main__":
    main()
