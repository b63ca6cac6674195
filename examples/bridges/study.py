"""Which bridge, against what, finds most: AP50 of unseen recordings on composed scenes.

python examples/bridges/study.py --weights FOLDER [--seeds 5] [--scenes 60] [--only ROWS] [-o docs]

The folder is what `examples/small/package.py --to FOLDER --sounds train` makes: the weights that
ship heard the recordings that are used here.

Each seed composes scenes of images in a style that no model saw, most of them on photographs, and
draws one unseen recording for each of the concepts that has one. All rows of a seed see the same
scenes and recordings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "small"))

from data import Pictures, concepts, grounds, sounds
from evaluate import open_trained, sounds_of_val, text_queries
from package import DETIC
from scenes import compose

import bindplug
from bindplug.bridge import Target, fit_bridge
from bindplug.bridge.vocabulary import default_vocabulary
from bindplug.detection.crops import Crops
from bindplug.detection.query import COMPETITIONS, build_query
from bindplug.detection.results import Detections
from bindplug.evaluation import average_precision
from bindplug.models.small.network import open_folder
from bindplug.training import step_generator
from bindplug_detic.roi_heads import select_detections

LEAST, MOST = 1e-3, 100  # score, objects a scene


class Scenes:
    """What the detector sees on a seed's scenes, and what is there.

    Args:
        detector: the DeticDetector. seed, count: of scenes.
    """

    def __init__(self, detector, seed: int, count: int):
        val = Pictures("pictures.csv", "val", 128, concepts())
        sources, g = [(val, torch.arange(66))], step_generator(1000 + seed, 0)
        scenes = compose(sources, g, count, grounds=grounds())
        images = [(s.image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for s in scenes]
        self.detector = detector
        self.features = [detector.features(image) for image in images]
        self.boxes = [s.boxes.numpy() for s in scenes]
        self.labels = [s.labels.numpy() for s in scenes]
        self.cut: list[np.ndarray] = []  # the boxes' vectors in the embedder's space

    def ap50(self, rows: list, classes: list[int]) -> float:
        """Of (boxes, (n, classes) scores) a scene; a box may be several classes."""
        found = []
        for (boxes, scores), f in zip(rows, self.features, strict=True):
            boxes, scores, ids = select_detections(
                torch.from_numpy(boxes), scores, LEAST, False, MOST, self.detector.model.nms
            )
            ids = np.array(classes)[ids.numpy()]
            size = f.image.size
            found.append(Detections(boxes.numpy(), scores.numpy(), ids, None, size[1], size[0]))
        kept = [np.isin(la, classes) for la in self.labels]
        truth = [b[k] for b, k in zip(self.boxes, kept, strict=True)]
        ids = [la[k] for la, k in zip(self.labels, kept, strict=True)]
        return 100 * average_precision(found, truth, ids)["AP50"]

    def asked(self, query) -> list:
        """A query's scores of all proposals."""
        model = self.detector.model
        return [
            (
                model.proposals(f.encoded),
                model.scores(f.encoded, query.vectors, query.to_probabilities).cpu(),
            )
            for f in self.features
        ]

    def cropped(self, prompt, competition: str) -> list:
        """The crops' scores of the best boxes; the boxes are embedded once."""
        crops = Crops(prompt, competition=competition)
        if not self.cut:
            self.cut = [crops.embed(self.detector, f) for f in self.features]
        return [(c.boxes, crops.score(c)) for c in self.cut]


class Prompts:
    """What is asked of every seed's scenes.

    Args:
        weights: a folder of packed weights.

    Attributes:
        sounded: the concepts, by index, of which there is an unseen recording.
    """

    def __init__(self, weights: Path):
        self.embedder = open_trained(weights)
        self.own = open_folder(weights / DETIC / "clip")
        names = concepts()
        self.heard, self.concept = sounds_of_val(self.embedder)
        self.sounded = [i for i, n in enumerate(names) if n in self.concept]
        self.names = [names[i] for i in self.sounded]
        train = [r["path"] for r in sounds() if r["split"] == "train"]
        self.centre = self.embedder.embed(audio=train)
        everything = default_vocabulary()
        shuffled = np.random.default_rng(0).permutation(everything).tolist()
        others = [w for w in shuffled if w not in names]
        self.lists = {"sounding": default_vocabulary("audio"), "all": everything, "the 66": names}
        self.lists |= {f"66 and {n} others": names + others[:n] for n in (100, 300)}

    def rows(self, scenes: Scenes, seed: int) -> Iterator[tuple[str, Callable]]:
        """Each row of the table, and what computes its scores of a seed's scenes."""
        rng = np.random.default_rng(seed)
        target = Target(self.own.space, tuple(self.own.templates), self.own)
        picks = [
            rng.choice([j for j, c in enumerate(self.concept) if c == name]) for name in self.names
        ]
        sounds = self.heard[picks]
        oracle = text_queries(self.own, self.names)
        texts = text_queries(self.embedder, self.names)
        asked = {
            "text, own space": (oracle, None), "text, read": (texts, None),
            "text, vocabulary": (texts, "vocabulary"), "sound, default": (sounds, None),
        }  # fmt: skip
        for competition in COMPETITIONS:
            for name, (prompt, bridge) in asked.items():
                query = build_query(prompt, target, bridge, competition)
                yield f"{name}, {competition}", partial(scenes.asked, query)
            yield f"sound, crops, {competition}", partial(scenes.cropped, sounds, competition)
            yield f"text, crops, {competition}", partial(scenes.cropped, texts, competition)
        for label, words in self.lists.items():
            for kind in ("vocabulary", "linear"):
                for middle in (None, self.centre) if kind == "linear" else (None,):
                    bridge = fit_bridge(kind, self.embedder, self.own, words, centre=middle)
                    metadata = ", centred" if middle is not None else ""
                    for competition in ("none", "words"):
                        query = build_query(sounds, target, bridge, competition)
                        yield (f"sound, {kind} of {label}{metadata}, {competition}",
                               partial(scenes.asked, query))  # fmt: skip


@torch.inference_mode()
def study(weights: Path, seeds: int, count: int, only: str) -> dict[str, list[float]]:
    """AP50 of each row of the table whose name begins with `only`, one figure a seed."""
    out = defaultdict(list)
    prompts = Prompts(weights)
    detector = bindplug.load_detector("detic", f"local:{weights / DETIC}", "cpu")
    for seed in range(seeds):
        scenes = Scenes(detector, seed, count)
        for name, scores in prompts.rows(scenes, seed):
            if name.startswith(only):
                out[name].append(scenes.ap50(scores(), prompts.sounded))
                print(f"{len(out[name])} {name:<58} {out[name][-1]:5.1f}", flush=True)
    return dict(out)


def write(out: dict[str, list[float]], folder: Path, count: int) -> None:
    """bridges.json, where rows that are there stay, and bridges.png: a bar for each row."""
    from PIL import Image, ImageDraw, ImageFont

    path = folder / "bridges.json"
    out = {**(json.loads(path.read_text())["AP50"] if path.exists() else {}), **out}
    path.write_text(json.dumps({"scenes": count, "AP50": out}, indent=1) + "\n")
    font, row, left, width = ImageFont.load_default(size=14), 22, 380, 980
    rows = sorted(out.items(), key=lambda kv: (kv[0].split(",")[0], -np.mean(kv[1])))
    image = Image.new("RGB", (width, 20 + row * len(rows)), "white")
    draw = ImageDraw.Draw(image)
    for i, (name, values) in enumerate(rows):
        mean, spread, y = np.mean(values), np.std(values), 10 + i * row
        scale = (width - left - 90) / max(np.mean(v) for _, v in rows)
        colour = (230, 159, 0) if name.startswith("sound") else (86, 180, 233)
        draw.text((8, y + 2), name, fill="black", font=font)
        draw.rectangle((left, y + 3, left + mean * scale, y + row - 4), fill=colour)
        draw.text((left + mean * scale + 6, y + 2), f"{mean:.1f} ± {spread:.1f}", fill="black",
                  font=font)  # fmt: skip
    image.save(folder / "bridges.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--only", default="", help="rows whose names begin so")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"))
    args = parser.parse_args()
    out = study(args.weights, args.seeds, args.scenes, args.only)
    args.output.mkdir(parents=True, exist_ok=True)
    write(out, args.output, args.scenes)
    for name, values in sorted(out.items(), key=lambda kv: -np.mean(kv[1])):
        print(f"| {name} | {np.mean(values):.1f} ± {np.std(values):.1f} |")


if __name__ == "__main__":
    main()
