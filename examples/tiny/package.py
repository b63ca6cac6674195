"""Step 5: put the trained weights where the packages ship them from.

python package.py --seed 0
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

from bindplug.imagebind import ImageBind, save_imagebind

REPO = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed

    whole = ImageBind(SIZES["tiny"])
    whole.load_state_dict(torch.load(RUNS / f"tiny-{seed}" / "imagebind.pt", weights_only=True))
    save_imagebind(whole, REPO / "bindplug" / "tiny", {"space": "tiny"})

    detic = REPO / "plugins" / "bindplug_detic" / "tiny"
    clip = ImageBind(SIZES["tiny-clip"])
    clip.load_state_dict(
        torch.load(RUNS / f"tiny-clip-{seed}" / "vision_text.pt", weights_only=True)
    )
    save_imagebind(clip, detic / "clip", {"space": "tiny-clip"})
    state = torch.load(RUNS / f"detic-{seed}" / "detic.pt", weights_only=True)
    state = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in state.items()}
    save_file(state, detic / "model.safetensors")
    sizes = {"space": "tiny-clip", "short_side": 256, "long_side": 448}
    (detic / "config.json").write_text(json.dumps(sizes, indent=1) + "\n")

    unclip = REPO / "plugins" / "bindplug_unclip" / "tiny"
    shutil.rmtree(unclip, ignore_errors=True)
    shutil.copytree(RUNS / f"unclip-{seed}" / "pipeline", unclip)
    (unclip / "bindplug.json").write_text(json.dumps({"space": "tiny"}, indent=1) + "\n")

    names = concepts() + list(dict.fromkeys(r["name"] for r in table("vocab.csv")))
    (REPO / "bindplug" / "vocabulary.txt").write_text("\n".join(names) + "\n")


if __name__ == "__main__":
    main()
