"""The figures of the model card on the val split.

python evaluate.py [encoders] [photographs] [detection] [generation] --weights FOLDER
python evaluate.py encoders photographs --model local:runs/sounds/model

The folder is what `package.py --to FOLDER --sounds train` makes: the weights that ship heard the
recordings of the val split too, and are refused. A model is one that `bindplug train` made.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from data import RUNS, Pictures, concepts, grounds, other_words, sounds
from package import DETIC, SMALL, UNCLIP
from PIL import Image
from scenes import compose

import bindplug
from bindplug.bridge import Target, word_vectors
from bindplug.bridge.vocabulary import default_vocabulary, read_vocabulary
from bindplug.detection.query import Query, build_query
from bindplug.detection.results import Detections
from bindplug.embedding import unit
from bindplug.embedding.embedder import Embedder
from bindplug.embedding.vectors import Embedding
from bindplug.evaluation import average_precision, proposal_recall
from bindplug.models.small.network import open_folder
from bindplug.training import step_generator
from bindplug_detic.roi_heads import score_matrix, select_detections


def text_queries(embedder, names: list[str]) -> Embedding:
    """One row a name: the mean over the embedder's templates."""
    rows = word_vectors(embedder, names, embedder.templates)
    return Embedding(rows, embedder.space, "text", tuple(names), embedder=embedder)


def pil(images: torch.Tensor) -> list[Image.Image]:
    """(N, 3, H, W) in [0, 1] to PIL images."""
    return [Image.fromarray((x * 255).byte().permute(1, 2, 0).numpy()) for x in images]


def open_trained(weights: Path) -> Embedder:
    """The embedder of a folder. Exits where it heard the val split."""
    return unheard(open_folder(weights / SMALL), str(weights))


def unheard(embedder: Embedder, name: str) -> Embedder:
    """The embedder. Exits where it is `small` that heard the val split."""
    if getattr(embedder.network, "config", {}).get("audio", {}).get("sounds", "train") != "train":
        raise SystemExit(f"{name}: heard the val split; package with --sounds train")
    return embedder


def sounds_of(split: str, tables: tuple[str, ...], embedder) -> tuple[Embedding, list[str]]:
    """The embeddings of all sounds of a split, and their concepts."""
    rows = [r for r in sounds() if r["split"] == split and r["set"] in tables]
    return embedder.embed(audio=[r["path"] for r in rows]), [r["concept"] for r in rows]


def sounds_of_val(embedder) -> tuple[Embedding, list[str]]:
    return sounds_of("val", ("sounds.csv", "sounds2.csv"), embedder)


def top(embedding: Embedding, texts: Embedding, wanted: list[str]) -> dict[str, float]:
    """Top-1 and top-5 of naming by the nearest text, and the mean of top-1 over the names."""
    labels = torch.tensor([texts.labels.index(w) for w in wanted])
    order = torch.from_numpy(embedding.vectors @ texts.vectors.T).topk(5, dim=1).indices
    hit = order == labels[:, None]
    each = [hit[labels == c, 0].float().mean() for c in labels.unique()]
    return {
        "top1": hit[:, 0].float().mean().item(),
        "top5": hit.any(1).float().mean().item(),
        "mean over names": torch.stack(each).mean().item(),
        "count": len(wanted),
    }


def encoders(embedder, root: Path) -> dict:
    names = concepts()
    texts = text_queries(embedder, names)
    val = Pictures("pictures.csv", "val", 128, names)
    shown = embedder.embed(image=pil(val.on_white()))
    out = {"image to text": top(shown, texts, [names[i] for i in val.labels])}
    for name in ("sounds.csv", "sounds2.csv"):
        heard, wanted = sounds_of("val", (name,), embedder)
        out[f"audio to text, {name}"] = top(heard, texts, wanted)
    for kind, pairs in other_words().items():
        rows = embedder.embed(text=[word for word, _ in pairs])
        out[f"other words, {kind}"] = top(rows, texts, [name for _, name in pairs])
    return out


# Photographs in scikit-image's package, and the names that are right.
PHOTOGRAPHS = {
    "chelsea.png": "cat, tabby, tiger cat, Egyptian cat",
    "coffee.png": "espresso, coffee mug, cup, hot beverage",
    "rocket.jpg": "rocket, missile, projectile, space shuttle",
    "astronaut.png": "astronaut, woman",
    "camera.png": "camera, movie camera, video camera, tripod",
    "motorcycle_left.png": "motorcycle, moped, motor scooter",
    "clock_motion.png": "clock, analog clock, wall clock",
    "coins.png": "coin",
    "moon.png": "full moon, new moon, first quarter moon, last quarter moon",
    "brick.png": "brick, stone wall",
}


def photographs(embedder, root: Path) -> dict:
    """The first three of 1,898 names for each photograph, and how many are right."""
    from skimage import data

    names = list(dict.fromkeys(default_vocabulary() + read_vocabulary("imagenet-1k")))
    texts = text_queries(embedder, names)
    folder = Path(data.__file__).parent
    rows = embedder.embed(image=[str(folder / name) for name in PHOTOGRAPHS]).vectors
    order = np.argsort(-(rows @ texts.vectors.T), axis=1)[:, :3]
    named = {file: [names[i] for i in row] for file, row in zip(PHOTOGRAPHS, order, strict=True)}
    right = [named[file][0] in wanted.split(", ") for file, wanted in PHOTOGRAPHS.items()]
    return {"named": named, "right": sum(right), "count": len(right)}


def boxes_only(model, features, query: Query, classes: list[int]) -> Detections:
    """Every class's detections down to a low score, without masks, in original pixels."""
    scores = model.scores(features, query.vectors, query.to_probabilities)
    boxes = torch.from_numpy(model.proposals(features))
    boxes, scores, ids = select_detections(boxes, scores, 0.02, False, 100, model.nms)
    return Detections(
        boxes=boxes.numpy(),
        scores=scores.numpy(),
        class_ids=np.array(classes)[ids.numpy()],
        masks=None,
        height=features.original_size[0],
        width=features.original_size[1],
    )


@torch.inference_mode()
def detection(embedder, root: Path, count: int = 200) -> dict:
    names = concepts()
    detector = bindplug.load_detector("detic", f"local:{root / DETIC}", "cpu")
    own = open_folder(root / DETIC / "clip")
    val = Pictures("pictures.csv", "val", 128, names)
    scenes = compose([(val, torch.arange(66))], step_generator(123, 0), count, grounds=grounds())
    images = [(s.image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for s in scenes]
    boxes = [s.boxes.numpy() for s in scenes]
    labels = [s.labels.numpy() for s in scenes]
    model = detector.model
    features = [
        model.features(np.ascontiguousarray(i[:, :, ::-1]), detector.short_side, detector.long_side)
        for i in images
    ]

    def ap50(query: Query | Embedding, classes: list[int]) -> float:
        """Of a query, or of rows in the detector's own space without any competition."""
        if isinstance(query, Embedding):
            query = Query(query.labels, query.vectors)
        kept = [np.isin(la, classes) for la in labels]
        found = [boxes_only(model, f, query, classes) for f in features]
        truth = [b[k] for b, k in zip(boxes, kept, strict=True)]
        ids = [la[k] for la, k in zip(labels, kept, strict=True)]
        return average_precision(found, truth, ids)["AP50"]

    def named(query: Embedding) -> float:
        """Share of true boxes whose best class is the right one."""
        model.set_classifier(query.vectors)
        hits = []
        for f, rows, ids in zip(features, boxes, labels, strict=True):
            scale = f.network_size[0] / f.original_size[0]
            stages = model.roi_heads.cascade(f.maps, torch.from_numpy(rows) * scale, f.network_size)
            scores = score_matrix(stages, model.classifier, torch.ones(len(rows)))
            hits.extend((scores.argmax(1).numpy() == ids).tolist())
        return float(np.mean(hits))

    ratio = [f.original_size[0] / f.network_size[0] for f in features]
    proposals = [f.proposals.numpy() * r for f, r in zip(features, ratio, strict=True)]
    heard, concept = sounds_of_val(embedder)
    sounded = [i for i, n in enumerate(names) if n in concept]
    texts = text_queries(embedder, names)
    out = {
        "scenes": count,
        "recall_at_0.5": proposal_recall(proposals, boxes),
        "true_boxes_named": named(text_queries(own, names)),
        "text_oracle": ap50(text_queries(own, names), list(range(66))),
        "text_oracle_sounded": ap50(text_queries(own, [names[i] for i in sounded]), sounded),
    }
    rng = np.random.default_rng(0)  # three draws of an unseen recording for each concept
    draws = [
        [rng.choice([j for j, c in enumerate(concept) if c == names[i]]) for i in sounded]
        for _ in range(3)
    ]

    target = Target(own.space, tuple(own.templates), own)

    def both(bridge: str, competition: str | None) -> dict:
        text, *sounds = (
            ap50(build_query(rows, target, bridge, competition), classes)
            for rows, classes in [
                (texts, list(range(66))), *((heard[d], sounded) for d in draws)
            ]
        )  # fmt: skip
        return {"text": text, "sound": float(np.mean(sounds))}

    out["vocabulary"] = both("vocabulary", None)
    out["vocabulary, no competition"] = both("vocabulary", "none")
    out["text_read"] = ap50(build_query(texts, target), list(range(66)))
    return out


def tiled(pictures: list[Image.Image], across: int) -> Image.Image:
    """Images of one size side by side, so many a row."""
    width, height = pictures[0].size
    out = Image.new("RGB", (across * width, -(-len(pictures) // across) * height), "white")
    for i, picture in enumerate(pictures):
        out.paste(picture, (i % across * width, i // across * height))
    return out


def mean_pictures(embedder, train: Pictures, names: list[str]) -> Embedding:
    """One row a name: the mean embedding of its training images."""
    rows = [embedder.embed(image=pil(train.on_white(of))).vectors.mean(0) for of in train.of]
    return Embedding(unit(np.stack(rows)), embedder.space, "image", tuple(names))


def generation(embedder, root: Path, per_sound: int = 2) -> dict:
    from judge import likeliest, load_judge

    names, judge = concepts(), load_judge()
    generator = bindplug.load_generator("unclip", f"local:{root / UNCLIP}", "cpu")
    heard, concept = sounds_of_val(embedder)
    wanted = torch.tensor([names.index(c) for c in concept])
    train = Pictures("pictures.csv", "train", 128, names)

    def judged(prompt: Embedding, labels: torch.Tensor, name: str, direct=False, **how) -> dict:
        memory = generator.bank
        generator.bank = None if direct else memory
        pictures = generator.generate(prompt, num_images=per_sound, seed=0, **how)
        generator.bank = memory
        hit = likeliest(judge, pictures) == labels.repeat_interleave(per_sound)[:, None]
        tiled(pictures, 16).save(RUNS / f"sheet_{name}.png")
        return {
            "top1": hit[:, 0].float().mean().item(),
            "top5": hit.any(1).float().mean().item(),
            "pictures": len(pictures),
        }

    means = mean_pictures(embedder, train, names)
    texts, everyone, one = text_queries(embedder, names), torch.arange(66), {"candidates": 1}
    return {
        "candidates": generator.candidates,
        "sound": judged(heard, wanted, "sound"),
        "one candidate": {
            "sound": judged(heard, wanted, "sound_one", **one),
            "sound_raw": judged(heard, wanted, "sound_raw", direct=True, **one),
            "mean_picture": judged(means, everyone, "mean_picture", **one),
            "text": judged(texts, everyone, "text", **one),
        },
    }


def sheet(embedder, root: Path) -> dict:
    """An image of the first unseen recording of every concept, seed 0, on a sheet without names:
    `sheet_first.png`. Returns the names in its order, eleven a row."""
    generator = bindplug.load_generator("unclip", f"local:{root / UNCLIP}", "cpu")
    heard, concept = sounds_of_val(embedder)
    order = sorted({concept.index(c) for c in concept}, key=lambda i: concepts().index(concept[i]))
    pictures = generator.generate(heard[order], seed=0)
    tiled(pictures, 11).save(RUNS / "sheet_first.png")
    return {"names": [concept[i] for i in order]}


PARTS = ["encoders", "photographs", "detection", "generation"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=PARTS, help="and sheet")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--weights", type=Path)
    given.add_argument("--model", help="an embedder; for encoders and photographs")
    args = parser.parse_args()
    if args.model and not set(args.parts) <= {"encoders", "photographs"}:
        parser.error("--model: give the parts encoders and photographs")
    if args.model:
        embedder = unheard(bindplug.load_embedder(args.model), args.model)
    else:
        embedder = open_trained(args.weights)
    for part in args.parts:
        print(json.dumps({part: globals()[part](embedder, args.weights)}, indent=1), flush=True)


if __name__ == "__main__":
    main()
