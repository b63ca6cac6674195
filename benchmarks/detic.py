"""Native Detic: where the time of an image goes, beside the least that arithmetic needs; cold
start against the naive flow; and what more prompts cost. Random weights, R50 by default.

python benchmarks/detic.py [--backbone r50|swinb] [--device cuda] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bindplug_detic import Detic, DeticConfig
from bindplug_detic.centernet import select_proposals
from bindplug_detic.images import network_size, paste_masks, resize, to_tensor
from bindplug_detic.roi_heads import clip, score_matrix, select_detections

CONFIGS = {
    "r50": DeticConfig(backbone="resnet", depths=(3, 4, 6, 3), widths=(64, 128, 256, 512),
                       bottleneck=True),
    "swinb": DeticConfig(backbone="swin", depths=(2, 2, 18, 2), widths=(128, 256, 512, 1024),
                         heads=(4, 8, 16, 32)),
}  # fmt: skip
CLASSES = 1203

COLD = {
    "naive": """
import sys, time, numpy as np, timm, torch, torchvision
from bindplug_detic import Detic
from benchmarks_detic import CONFIGS
torch.manual_seed(0)
start = time.perf_counter()
model = Detic(CONFIGS[sys.argv[2]])  # random values for every weight, to be overwritten
model.load_state_dict({k: v for k, v in torch.load(sys.argv[1])["model"].items()
                       if "zs_weight" not in k})
model.eval()
""",
    "ours": """
import sys, time, numpy as np, timm, torch, torchvision
from bindplug_detic import Detic
start = time.perf_counter()
model = Detic.from_checkpoint(sys.argv[1])
""",
}
FIRST = """
print(time.perf_counter() - start)
picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
model.set_classifier(np.random.default_rng(0).normal(size=(1203, 512)))
model.predict(picture, top_k=20)
"""


def clock(device: str, work, *args):
    """Seconds and result."""
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    out = work(*args)
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start, out


def matrix_rate(device: str, size: int = 2048) -> float:
    """Multiply-adds a second of a float32 matrix product, the best of five."""
    a = torch.randn(size, size, device=device)
    return size**3 / min(clock(device, torch.mm, a, a)[0] for _ in range(5))


def stages(model: Detic, picture: np.ndarray, vectors: np.ndarray):
    """(name, work) pairs; each takes what the one before gave."""
    size = network_size(*picture.shape[:2], 800, 1333)
    weight = model.backbone.top_block.p6.weight
    held = {}

    def resized():
        x = to_tensor(resize(picture[:, :, ::-1], *size)).to(weight)
        held["x"] = x.contiguous(memory_format=torch.channels_last)

    def backbone():
        held["c"] = model.backbone.bottom_up(held["x"])

    def neck():
        held["p"] = model.backbone.merge(held["c"])
        heat, reach = model.proposal_generator(held["p"])
        held["boxes"], held["scores"] = select_proposals(
            [h[0].float() for h in heat], [r[0].float() for r in reach]
        )

    def box_heads():
        held["p"] = [m.float() for m in held["p"]]
        found = model.roi_heads.cascade(held["p"], held["boxes"], size)
        scores = score_matrix(found, model._columns(vectors), held["scores"])
        boxes = clip(found[-1].decoded, *size)
        held["found"] = select_detections(boxes, scores, 0.02, True, 100, model.nms)

    def mask_head():
        held["masks"] = model.roi_heads.masks(held["p"], held["found"][0])

    def paste():
        ratio = picture.shape[0] / size[0]
        paste_masks(held["masks"], held["found"][0] * ratio, *picture.shape[:2])

    return [("resize", resized), ("backbone", backbone), ("FPN, proposals", neck),
            ("box heads", box_heads), ("masks", mask_head), ("paste", paste)]  # fmt: skip


@torch.inference_mode()
def shares(model: Detic, device: str, rounds: int, rate: float) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (480, 640, 3), np.uint8)
    vectors = rng.normal(size=(CLASSES, 512))
    best: dict[str, float] = {}
    work = stages(model, picture, vectors)
    for _ in range(rounds + 1):  # the first warms up
        for name, run in work:
            seconds, _ = clock(device, run)
            best[name] = min(best.get(name, np.inf), seconds)
    floor = {}
    for name, run in work:
        with FlopCounterMode(display=False) as counter:
            run()
        floor[name] = counter.get_total_flops() / 2 / rate
    total, least = sum(best.values()), sum(floor.values())
    print(f"{'stage':<16} {'seconds':>8} {'share':>6} {'floor':>8} {'times':>6}")
    for name in best:
        times = f"{best[name] / floor[name]:.2f}" if floor[name] > 1e-4 else "-"
        print(
            f"{name:<16} {best[name]:8.3f} {best[name] / total:6.1%} {floor[name]:8.3f} {times:>6}"
        )
    print(f"{'all':<16} {total:8.3f} {'':>6} {least:8.3f} {total / least:6.2f}")


@torch.inference_mode()
def prompts(model: Detic, device: str, rounds: int) -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (480, 640, 3), np.uint8)
    rows = rng.normal(size=(100, 512))

    def run(count: int):
        model.set_classifier(rows[:count])
        model.predict(picture, score_threshold=0.02)

    best = {n: min(clock(device, run, n)[0] for _ in range(rounds)) for n in (1, 100)}
    print(f"100 prompts against 1: {best[100]:.2f} s / {best[1]:.2f} s = "
          f"{best[100] / best[1]:.2f}")  # fmt: skip


def halves(model: Detic, rounds: int) -> None:
    """On a GPU: half precision against float32, and the error it costs."""
    rng = np.random.default_rng(2)
    picture = rng.integers(0, 255, (480, 640, 3), np.uint8)
    took, found = {}, {}
    for dtype in (torch.float32, torch.float16):
        model.to(dtype=dtype)
        for _ in range(rounds + 1):
            seconds, features = clock("cuda", model.features, picture)
            took[dtype] = min(took.get(dtype, np.inf), seconds)
        found[dtype] = features.stages[-1].embeddings.float()
    n = min(len(e) for e in found.values())
    cosine = torch.cosine_similarity(*(e[:n] for e in found.values())).median()
    print(f"float32 against float16: {took[torch.float32] / took[torch.float16]:.2f} times, "
          f"median cosine of region embeddings {cosine:.5f}")  # fmt: skip


def cold(path: Path, backbone: str, rounds: int) -> None:
    """Whole processes, and of each what lies between the imports (of torch, torchvision and timm,
    which both sides need) and a model that is ready."""
    whole: dict[str, list[float]] = {name: [] for name in COLD}
    load: dict[str, list[float]] = {name: [] for name in COLD}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "benchmarks_detic.py").write_text(Path(__file__).read_text())
        environment = {**os.environ, "PYTHONPATH": folder}
        for _ in range(rounds):
            for name, script in COLD.items():
                start = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-c", script + FIRST, path, backbone],
                    check=True, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
                whole[name].append(time.perf_counter() - start)
                load[name].append(float(done.stdout))
    for what, took in (("a .pth to a ready model", load), ("process to first result", whole)):
        naive, ours = min(took["naive"]), min(took["ours"])
        print(f"{what}: naive {naive:.2f} s, ours {ours:.2f} s = {ours / naive:.2f} (asked 0.7)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", choices=CONFIGS, default="r50")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detic(CONFIGS[args.backbone]).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pth"
        state = model.state_dict()
        for k in range(3):  # as a released file has it
            state[f"roi_heads.box_predictor.{k}.cls_score.zs_weight"] = torch.randn(512, 22048)
        torch.save({"model": state}, path)
        del state
        cold(path, args.backbone, args.rounds)
    model.for_inference().to(args.device)
    rate = matrix_rate(args.device)
    print(f"{args.backbone}, {args.device}: {rate / 1e9:.0f} G multiply-adds a second")
    shares(model, args.device, args.rounds, rate)
    prompts(model, args.device, args.rounds)
    if args.device != "cpu":
        halves(model, args.rounds)


if __name__ == "__main__":
    main()
