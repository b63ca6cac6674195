"""Every figure of the model card, on the val split, from the weights in the packages, or from
those that package.py put into another folder.

python evaluate.py [encoders] [detection] [generation] [--weights FOLDER]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from audio import evaluate as evaluate_audio
from data import ROOT, RUNS, Pictures, concepts, table
from package import DETIC, REPO, TINY, UNCLIP
from scenes import compose
from vision_text import evaluate as evaluate_pictures
from vision_text import name_vectors

import bindplug
from bindplug.bridge import fit_bridge
from bindplug.bridge.vocabulary import default_vocabulary
from bindplug.detection.query import Query, build_query
from bindplug.detection.results import Detections
from bindplug.embedding import unit
from bindplug.embedding.vectors import Embedding
from bindplug.evaluation import average_precision, proposal_recall
from bindplug.imagebind import load_imagebind
from bindplug.training import step_generator
from bindplug_detic.roi_heads import score_matrix, select_detections


def text_queries(embedder, names: list[str]) -> Embedding:
    """One row a name: the mean of its training templates."""
    vectors = name_vectors(embedder.network.open_trunk("text"), names).numpy()
    return Embedding(vectors, embedder.space, "text", tuple(names))


def sounds_of_val(embedder) -> tuple[Embedding, list[str]]:
    rows = [r for r in table("sounds.csv") if r["split"] == "val"]
    found = embedder.embed(audio=[str(ROOT / r["file"]) for r in rows])
    return found, [r["concept"] for r in rows]


def encoders(embedder, root: Path) -> dict:
    model = load_imagebind(root / "bindplug" / "models" / "tiny")
    val = Pictures("pictures.csv", "val", 64, concepts())
    top1, top5 = evaluate_pictures(model, val)
    return {"image_to_text": {"top1": top1, "top5": top5}, "audio_to_text": evaluate_audio(model)}


def boxes_only(model, features, query: Query, classes: list[int]) -> Detections:
    """Every class's detections down to a low score, without masks, in original pixels."""
    scores = model.scores(features, query.vectors, query.to_probabilities)
    boxes = torch.from_numpy(model.proposals(features))
    boxes, scores, ids = select_detections(boxes, scores, 0.02, one_class=False, top_k=100)
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
    own = bindplug.load_embedder(f"local:{root / DETIC / 'clip'}", "cpu")
    val = Pictures("pictures.csv", "val", 128, names)
    scenes = compose([(val, torch.arange(66))], step_generator(123, 0), count)
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
    vocabularies = {
        "all": default_vocabulary(),
        "sounding": default_vocabulary("audio"),
        "66": names,
    }
    rng = np.random.default_rng(0)  # three draws of an unseen recording for each concept
    draws = [
        [rng.choice([j for j, c in enumerate(concept) if c == names[i]]) for i in sounded]
        for _ in range(3)
    ]

    def both(bridge, competition: str | None) -> dict:
        text, *sounds = (
            ap50(build_query(rows, own.space, bridge, competition), classes)
            for rows, classes in [
                (texts, list(range(66))), *((heard[d], sounded) for d in draws)
            ]
        )  # fmt: skip
        return {"text": text, "sound": float(np.mean(sounds))}

    out["default"] = both(None, None)
    for kind in ("vocabulary", "linear"):
        for label, words in vocabularies.items():
            bridge = fit_bridge(kind, embedder, own, words)
            for competition in ("none", "words"):
                name = f"{kind}, {label} ({len(words)} words), competition {competition}"
                out[name] = both(bridge, competition)
    return out


def mean_pictures(embedder, train: Pictures, names: list[str]) -> Embedding:
    """One row a name: the mean embedding of its training images."""
    from PIL import Image

    rows = []
    for of in train.of:
        images = [
            Image.fromarray((p * 255).byte().permute(1, 2, 0).numpy()) for p in train.on_white(of)
        ]
        rows.append(embedder.embed(image=images).vectors.mean(0))
    return Embedding(unit(np.stack(rows)), embedder.space, "image", tuple(names))


def generation(embedder, root: Path, per_sound: int = 2) -> dict:
    from judge import likeliest, load_judge
    from PIL import Image

    names, judge = concepts(), load_judge()
    generator = bindplug.load_generator("unclip", f"local:{root / UNCLIP}", "cpu")
    heard, concept = sounds_of_val(embedder)
    wanted = torch.tensor([names.index(c) for c in concept])
    train = Pictures("pictures.csv", "train", 64, names)

    def judged(prompt: Embedding, labels: torch.Tensor, name: str, direct=False, **how) -> dict:
        memory = generator.bank
        generator.bank = None if direct else memory
        pictures = generator.generate(prompt, num_images=per_sound, seed=0, **how)
        generator.bank = memory
        hit = likeliest(judge, pictures) == labels.repeat_interleave(per_sound)[:, None]
        side = 16
        sheet = Image.new("RGB", (side * 64, -(-len(pictures) // side) * 64), "white")
        for i, p in enumerate(pictures):
            sheet.paste(p, (i % side * 64, i // side * 64))
        sheet.save(RUNS / f"sheet_{name}.png")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["encoders", "detection", "generation"])
    parser.add_argument("--weights", type=Path, default=REPO)
    args = parser.parse_args()
    embedder = bindplug.load_embedder(f"local:{args.weights / TINY}", "cpu")
    torch.manual_seed(0)
    for part in args.parts:
        print(json.dumps({part: globals()[part](embedder, args.weights)}, indent=1), flush=True)


if __name__ == "__main__":
    main()
