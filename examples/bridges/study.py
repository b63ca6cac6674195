"""Which bridge, against what, finds most: AP50 of unseen recordings on composed scenes.

TINYSET=... python examples/bridges/study.py [--seeds 5] [--scenes 60] [--ear FOLDER] [-o docs]

The ear, an embedder of sounds in the detector's own space that needs no bridge, is what
examples/tiny/audio.py --space tiny-clip makes.

Each seed composes scenes of pictures in a style that no model saw, and draws one unseen recording
for each of the concepts that has one. All rows of a seed see the same scenes and recordings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tiny"))

from data import ROOT, Pictures, concepts, table
from evaluate import sounds_of_val, text_queries
from scenes import compose

import bindplug
from bindplug.bridge import default_vocabulary, fit_bridge
from bindplug.crops import Crops
from bindplug.evaluation import average_precision
from bindplug.query import CONTRASTS, ask
from bindplug.results import Detections
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
        scenes = compose([(val, torch.arange(66))], step_generator(1000 + seed, 0), count)
        images = [(s.image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for s in scenes]
        self.detector = detector
        self.features = [detector.features(image) for image in images]
        self.boxes = [s.boxes.numpy() for s in scenes]
        self.labels = [s.labels.numpy() for s in scenes]
        self.cut: list[np.ndarray] = []  # the boxes' vectors in ImageBind's space

    def ap50(self, rows: list, classes: list[int]) -> float:
        """Of (boxes, (n, classes) scores) a scene; a box may be several classes."""
        found = []
        for (boxes, scores), f in zip(rows, self.features, strict=True):
            boxes, scores, ids = select_detections(
                torch.from_numpy(boxes), scores, LEAST, one_class=False, top_k=MOST
            )
            ids = np.array(classes)[ids.numpy()]
            size = f.picture.size
            found.append(Detections(boxes.numpy(), scores.numpy(), ids, None, size[1], size[0]))
        kept = [np.isin(la, classes) for la in self.labels]
        truth = [b[k] for b, k in zip(self.boxes, kept, strict=True)]
        ids = [la[k] for la, k in zip(self.labels, kept, strict=True)]
        return 100 * average_precision(found, truth, ids)["AP50"]

    def asked(self, query) -> list:
        """A query's scores of all proposals."""
        model = self.detector.model
        return [
            (model.proposals(f.seen), model.scores(f.seen, query.vectors, query.read).cpu())
            for f in self.features
        ]

    def cropped(self, prompt, contrast: str) -> list:
        """The crops' scores of the best boxes; the boxes are embedded once."""
        crops = Crops(prompt, contrast=contrast)
        if not self.cut:
            self.cut = [crops.embed(self.detector, f) for f in self.features]
        return [(c.boxes, crops.score(c)) for c in self.cut]


@torch.inference_mode()
def study(seeds: int, count: int, ear: str | None) -> dict[str, list[float]]:
    """AP50 of each row of the table, one figure a seed."""
    embedder = bindplug.load_embedder("tiny", "cpu")
    own = bindplug.load_embedder("tiny-clip", "cpu")
    detector = bindplug.load_detector("detic", "tiny", "cpu")
    names = concepts()
    heard, concept = sounds_of_val(embedder)
    near = sounds_of_val(bindplug.load_embedder(f"local:{ear}", "cpu"))[0] if ear else None
    sounded = [i for i, n in enumerate(names) if n in concept]
    train = [str(ROOT / r["file"]) for r in table("sounds.csv") if r["split"] == "train"]
    centre = embedder.embed(audio=train)
    everything = default_vocabulary()
    shuffled = np.random.default_rng(0).permutation(everything).tolist()
    lists = {"sounding": default_vocabulary("audio"), "all": everything, "the 66": names}
    lists |= {f"66 and {n} others": names + [w for w in shuffled if w not in names][:n]
              for n in (100, 300)}  # fmt: skip
    out = defaultdict(list)
    for seed in range(seeds):
        scenes = Scenes(detector, seed, count)
        rng = np.random.default_rng(seed)
        picks = [rng.choice([j for j, c in enumerate(concept) if c == names[i]]) for i in sounded]
        sounds = heard[picks]
        oracle = text_queries(own, [names[i] for i in sounded])
        texts = text_queries(embedder, [names[i] for i in sounded])

        def put(name: str, rows: list, scenes=scenes) -> None:
            out[name].append(scenes.ap50(rows, sounded))
            print(f"{len(out[name])} {name:<58} {out[name][-1]:5.1f}", flush=True)

        for contrast in CONTRASTS:
            put(
                f"text, own space, {contrast}", scenes.asked(ask(oracle, own.space, None, contrast))
            )
            put(
                f"text, vocabulary, {contrast}", scenes.asked(ask(texts, own.space, None, contrast))
            )
            put(f"sound, default, {contrast}", scenes.asked(ask(sounds, own.space, None, contrast)))
            if near is not None:
                put(
                    f"sound, own space, {contrast}",
                    scenes.asked(ask(near[picks], own.space, None, contrast)),
                )
            put(f"sound, crops, {contrast}", scenes.cropped(sounds, contrast))
            put(f"text, crops, {contrast}", scenes.cropped(texts, contrast))
        for label, words in lists.items():
            for kind in ("vocabulary", "linear"):
                for middle in (None, centre) if kind == "linear" else (None,):
                    bridge = fit_bridge(kind, embedder, own, words, centre=middle)
                    for contrast in ("none", "words"):
                        rows = scenes.asked(ask(sounds, own.space, bridge, contrast))
                        about = ", centred" if middle is not None else ""
                        put(f"sound, {kind} of {label}{about}, {contrast}", rows)
    return dict(out)


def write(out: dict[str, list[float]], folder: Path, count: int) -> None:
    """bridges.json, and bridges.png: a bar for each row."""
    from PIL import Image, ImageDraw, ImageFont

    (folder / "bridges.json").write_text(
        json.dumps({"scenes": count, "AP50": out}, indent=1) + "\n"
    )
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
    parser.add_argument("--ear", help="folder of an embedder of sounds in the detector's space")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"))
    args = parser.parse_args()
    out = study(args.seeds, args.scenes, args.ear)
    write(out, args.output, args.scenes)
    for name, values in sorted(out.items(), key=lambda kv: -np.mean(kv[1])):
        print(f"| {name} | {np.mean(values):.1f} ± {np.std(values):.1f} |")


if __name__ == "__main__":
    main()
