"""The study's data: sounds and pictures of one concept, from the tables of examples/small."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "small"))

from data import ROOT, image_paths, table

RUNS = Path(os.environ.get("ABLATIONS", Path(__file__).parent / "runs"))


def sounds(split: str) -> list[tuple[str, str]]:
    """(concept, path) of each sound of a split."""
    rows = table("sounds.csv")
    return [(r["concept"], str(ROOT / r["file"])) for r in rows if r["split"] == split]


def pairs(kind: str) -> Path:
    """A JSONL of pairs, written on its first use.

    Args:
        kind: "train", a sound with all pictures of its concept, of which a view shows one; "val";
            "matched", a sound with one picture of its concept; "mismatched-10" and "-30", the same
            with a picture of another concept for so many per cent of the sounds; "named", pictures
            with the names of their concepts.
    """
    split = "val" if kind == "val" else "train"
    of, rng = image_paths("pictures.csv", split), random.Random(0)
    if split == "val":
        of = {**image_paths("pictures.csv", "train"), **of}  # a concept without a picture in val
    lines = []
    for concept, path in sounds(split) if kind != "named" else ():
        shown = of[concept]
        if kind not in ("train", "val"):
            share = int(kind.partition("-")[2] or 0) / 100
            wrong = rng.random() < share
            other = rng.choice([c for c in of if c != concept])
            shown = [rng.choice(of[other if wrong else concept])]
        lines.append({"image": shown, "audio": path, "label": concept})
    if kind == "named":
        lines = [
            {"image": path, "text": concept, "label": concept}
            for concept, paths in of.items() for path in paths
        ]  # fmt: skip
    target = RUNS / f"{kind}.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return target
