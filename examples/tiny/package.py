"""Step 5: put the trained weights where the packages ship them from.

python package.py [encoders] [detic] [unclip] --seed 0
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from data import RUNS, concepts, table
from safetensors.torch import save_file
from vision_text import SIZES

from bindplug.bridge import TEMPLATES
from bindplug.imagebind import ImageBind, save_imagebind

REPO = Path(__file__).parents[2]
# Where the weights lie below the repository, or below another folder of the same layout.
TINY = Path("bindplug", "models", "tiny")
DETIC = Path("plugins", "bindplug_detic", "tiny")
UNCLIP = Path("plugins", "bindplug_unclip", "tiny")
SETTINGS = {"candidates": 8, "steps": 20, "guidance_scale": 3.0}  # examples/painting/study.py


def save_encoder(space: str, run: Path, folder: Path) -> None:
    model = ImageBind(SIZES[space])
    model.load_state_dict(torch.load(run, weights_only=True))
    save_imagebind(model, folder, {"space": space, "templates": TEMPLATES})


def encoders(seed: int, root: Path) -> None:
    save_encoder("tiny", RUNS / f"tiny-{seed}" / "imagebind.pt", root / TINY)
    save_encoder("tiny-clip", RUNS / f"tiny-clip-{seed}" / "vision_text.pt", root / DETIC / "clip")
    names = concepts() + list(dict.fromkeys(r["name"] for r in table("vocab.csv")))
    (root / "bindplug" / "vocabularies" / "default.txt").write_text("\n".join(names) + "\n")


def detic(seed: int, root: Path) -> None:
    state = torch.load(RUNS / f"detic-{seed}" / "detic.pt", weights_only=True)
    state = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in state.items()}
    folder = root / DETIC
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors")
    metadata = {"space": "tiny-clip", "short_side": 256, "long_side": 448, "threshold": 0.15}
    metadata["templates"] = TEMPLATES
    (folder / "config.json").write_text(json.dumps(metadata, indent=1) + "\n")


def unclip(seed: int, root: Path) -> None:
    folder = root / UNCLIP
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(RUNS / f"unclip-{seed}" / "pipeline", folder)
    metadata = {"space": "tiny", **SETTINGS}
    (folder / "bindplug.json").write_text(json.dumps(metadata, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["encoders", "detic", "unclip"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, default=REPO, help="another folder, to be evaluated")
    args = parser.parse_args()
    for part in args.parts:
        {"encoders": encoders, "detic": detic, "unclip": unclip}[part](args.seed, args.to)


if __name__ == "__main__":
    main()
