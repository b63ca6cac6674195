"""Step 6: put the trained weights where the packages ship them from.

python package.py [small] [small-clip] [detic] [unclip] --seed 0 [--sounds train]
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from audio import trained_tower
from data import RUNS
from features import SIZE, TRUNK
from heads import word_table
from image_text import SPACES, Training, train
from safetensors.torch import save_file
from torch import Tensor, nn
from trunk_classifier import TEMPERATURE
from trunks import image_trunk

from bindplug.models.small.image import CLASSES
from bindplug.models.small.network import CONFIG, WEIGHTS, Tower

REPO = Path(__file__).parents[2]
# Where the weights lie below the repository, or below another folder of the same layout.
SMALL = Path("bindplug", "models", "small")
DETIC = Path("plugins", "bindplug_detic", "small")
UNCLIP = Path("plugins", "bindplug_unclip", "small")
TEMPLATES = ["{}", "a {}", "a picture of a {}", "a photo of a {}"]
# In eight bits: word vectors and the rows of a classifier, of which many are averaged. Texts keep
# their direction to a cosine of 0.9996.
TABLES = ("trunk.vectors.weight", "trunk.classifier.weight", "region.classifier.weight")
SETTINGS = {"candidates": 4, "steps": 20, "guidance_scale": 3.0}  # examples/painting/study.py


# What stands in photographs is found by the region map more than by the box head, which knows
# pasted things: with vectors so much longer a cat's face scores 0.57 in place of 0.26, and scenes
# of drawings lose half a point of AP50.
REGION_GAIN = 2.0
# Of the columns of classes beside: more things in photographs are found, and AP50 of scenes of
# drawings falls by 0.3.
CLASS_GAIN = 2.0


def with_head(trunk: nn.Module, head: nn.Linear) -> Tower:
    tower = Tower(trunk, head.out_features)
    tower.head = head
    return tower


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Float tensors in float16, but for batch norms' statistics and the TABLES."""

    def stored(name: str, x: Tensor) -> Tensor:
        if name.endswith(TABLES):
            return x.to(torch.float8_e4m3fn)
        return x.half() if x.is_floating_point() and "running" not in name else x

    return {name: stored(name, x).contiguous() for name, x in state.items()}


def tower_state(name: str, tower: nn.Module) -> dict[str, Tensor]:
    """The tensors of a tower, or of its head, below its name (`halved`), without the counters of
    batch norms."""
    state = halved(tower.state_dict())
    return {f"{name}.{k}": v for k, v in state.items() if not k.endswith("num_batches_tracked")}


def save_towers(
    space: str, training: Training, folder: Path, audio: Tower | None = None, which: str = ""
) -> None:
    """A folder that `bindplug.models.small.network.open_folder` reads. The frozen image trunk and
    the list of words, the same in all spaces, are saved with the sounds' space only."""
    heads = training.heads
    words, rows = heads.text_trunk()
    image = with_head(image_trunk(TRUNK), heads.image_head())
    state = tower_state("text", with_head(words, heads.text)) | tower_state("image", image)
    config = {
        "space": space,
        "embed_dim": SPACES[space].width,
        "temperature": TEMPERATURE,
        "templates": TEMPLATES,
        "image": {"trunk": TRUNK, "size": SIZE},
        "text": {
            "rows": len(words.vectors.weight),
            "width": SPACES[space].words,
            "hidden": words.hidden.out_features,
        },
    }
    if audio is None:
        config["shared"] = ["image.trunk.", "words."]
        state = {k: v for k, v in state.items() if not k.startswith("image.trunk.")}
    else:
        table = word_table(rows, training.stand_ins())
        state |= tower_state("audio", audio) | {f"words.{k}": v for k, v in table.items()}
        config["audio"] = {"sounds": which}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n")


def small(seed: int, root: Path, which: str) -> None:
    training, tower = trained_tower("small", seed, which)
    save_towers("small", training, root / SMALL, tower, which)


def small_clip(seed: int, root: Path, which: str) -> None:
    save_towers("small-clip", train("small-clip", seed), root / DETIC / "clip")


def detic(seed: int, root: Path, which: str) -> None:
    state = torch.load(RUNS / f"detic-{seed}" / "detic.pt", weights_only=True)
    weight = state["roi_heads.region.embed.weight"]
    weight[:, -CLASSES:] *= CLASS_GAIN
    for x in (weight, state["roi_heads.region.embed.bias"]):
        x *= REGION_GAIN
    folder = root / DETIC
    folder.mkdir(parents=True, exist_ok=True)
    save_file(halved(state), folder / "model.safetensors")
    metadata = {"space": "small-clip", "short_side": 320, "long_side": 560}
    metadata |= {"threshold": 0.3, "nms_iou": 0.25, "nms_inside": 0.7, "templates": TEMPLATES}
    (folder / "config.json").write_text(json.dumps(metadata, indent=1) + "\n")


def unclip(seed: int, root: Path, which: str) -> None:
    folder = root / UNCLIP
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(RUNS / f"unclip-{seed}" / "pipeline", folder)
    metadata = {"space": "small", **SETTINGS}
    (folder / "bindplug.json").write_text(json.dumps(metadata, indent=1) + "\n")


PARTS = {"small": small, "small-clip": small_clip, "detic": detic, "unclip": unclip}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, default=REPO, help="another folder, to be evaluated")
    parser.add_argument(
        "--sounds", default="all", choices=["train", "all"],
        help="that the audio tower heard: what ships heard all, what is evaluated only train",
    )  # fmt: skip
    args = parser.parse_args()
    for part in args.parts:
        PARTS[part](args.seed, args.to, args.sounds)


if __name__ == "__main__":
    main()
