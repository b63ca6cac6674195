"""How a sound's embedding best reaches the region that a decoder of pictures knows.

TINYSET=... TINY_RUNS=... python examples/painting/study.py [--seeds 2] [-o docs]

Pictures from the unseen recordings, and from concepts' mean picture embeddings, named by the judge
of examples/tiny, which was trained apart from every embedder. Top-1 and top-5 of 66.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tiny"))

from data import ROOT, Pictures, concepts, table
from evaluate import mean_pictures, sounds_of_val
from judge import load_judge

import bindplug
from bindplug.bridge import LinearBridge, softmax, word_vectors
from bindplug.embedding import Embedding, compose, unit
from bindplug.transforms.vision import normalise


def regions(embedder, memory, heard: Embedding) -> dict[str, np.ndarray]:
    """The sounds' rows by each way into the pictures' region."""
    x, names = heard.vectors, memory.names[: memory.sounding]
    pictures = memory.vectors[: memory.sounding]
    train = [str(ROOT / r["file"]) for r in table("sounds.csv") if r["split"] == "train"]
    sounds = embedder.embed(audio=train).vectors.mean(axis=0)
    words = word_vectors(embedder, names)
    ridge = LinearBridge("tiny", "tiny", names, words, pictures)
    centred = LinearBridge("tiny", "tiny", names, words, pictures, centre=sounds)
    cosines = x @ pictures.T

    def memory_at(temperature: float, among: np.ndarray = cosines) -> np.ndarray:
        return softmax(among / temperature) @ pictures

    return {
        "raw": x,
        "mean moved to the pictures'": x - sounds + pictures.mean(axis=0),
        "ridge from words to pictures": ridge(heard).vectors,
        "the same, centred on sounds": centred(heard).vectors,
        "named by words, then their pictures": memory_at(0.05, x @ words.T),
        "nearest picture": pictures[cosines.argmax(axis=1)],
        "memory, temperature 0.1": memory_at(0.1),
        "memory, temperature 0.05 (default)": memory_at(0.05),
        "memory, temperature 0.02": memory_at(0.02),
    }


@torch.inference_mode()
def named(generator, judge, prompt: Embedding, wanted, seeds: int, **settings) -> list[float]:
    """Top-1 and top-5 of pictures of rows that already are where the decoder wants them."""
    pictures = [
        generator.paint(prompt[i], seed, **settings)
        for i in range(len(prompt)) for seed in range(seeds)
    ]  # fmt: skip
    x = torch.stack([torch.from_numpy(np.array(p)) for p in pictures]).permute(0, 3, 1, 2)
    best = judge(normalise(x.float() / 255)).topk(5, dim=1).indices
    hit = best == torch.tensor(wanted).repeat_interleave(seeds)[:, None]
    return [hit[:, 0].float().mean().item(), hit.any(1).float().mean().item()]


@torch.inference_mode()
def both_shown(generator, judge, a: Embedding, b: Embedding, wanted, seeds: int) -> float:
    """Share of pictures whose five likeliest names hold both wanted ones, of prepared rows."""
    hits = []
    for i in range(len(a)):
        prompt = compose([(a[i], 0.5), (b[i], 0.5)])
        for seed in range(seeds):
            x = torch.from_numpy(np.array(generator.paint(prompt, seed))).permute(2, 0, 1)[None]
            best = judge(normalise(x.float() / 255)).topk(5, dim=1).indices[0].tolist()
            hits.append(wanted[i][0] in best and wanted[i][1] in best)
    return float(np.mean(hits))


def arithmetic(generator, judge, means: Embedding, heard, concept, names, pairs: int, seeds: int):
    """Sound alone, picture alone, and their sum: share of pictures that show both."""
    rng = np.random.default_rng(0)
    sounds = rng.choice(len(heard), pairs, replace=False)
    pictures = [rng.choice([k for k, n in enumerate(names) if n != concept[i]]) for i in sounds]
    wanted = [(names.index(concept[i]), k) for i, k in zip(sounds, pictures, strict=True)]
    sound = generator.prepare(heard[sounds])
    picture = means[pictures]
    ways = {"sound alone": (sound, sound), "picture alone": (picture, picture),
            "sound + picture": (sound, picture)}  # fmt: skip
    return {k: both_shown(generator, judge, a, b, wanted, seeds) for k, (a, b) in ways.items()}


def morphs(generator, encoder, means: Embedding, pairs: int, frames: int = 9) -> dict:
    """Along morphs between concepts' mean pictures: rank correlation of the place with how much
    nearer a frame is to the end than to the start, by another encoder than the one conditioning."""
    rng, out = np.random.default_rng(1), []
    for _ in range(pairs):
        i, j = rng.choice(len(means), 2, replace=False)
        film = encoder.embed(image=generator.morph(means[i], means[j], frames)).vectors
        nearer = film @ film[-1] - film @ film[0]
        out.append(np.corrcoef(np.arange(frames), nearer.argsort().argsort())[0, 1])
    return {"mean": float(np.mean(out)), "least": float(np.min(out)), "pairs": pairs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"))
    args = parser.parse_args()
    names, judge = concepts(), load_judge()
    embedder = bindplug.load_embedder("tiny", "cpu")
    generator = bindplug.load_generator("unclip", "tiny", "cpu")
    heard, concept = sounds_of_val(embedder)
    wanted = [names.index(c) for c in concept]
    out = {}

    def put(name: str, figures: list[float]) -> None:
        out[name] = figures
        print(f"| {name} | {figures[0]:.1%} | {figures[1]:.1%} |", flush=True)

    means = mean_pictures(embedder, Pictures("pictures.csv", "train", 64, names), names)
    for scale in (2.0, 3.0, 5.0, 8.0):  # decided without any recording
        figures = named(generator, judge, means, range(66), args.seeds, guidance_scale=scale)
        put(f"mean picture, guidance {scale:g}", figures)
    for steps in (10, 40):
        put(f"mean picture, {steps} steps",
            named(generator, judge, means, range(66), args.seeds, steps=steps))  # fmt: skip
    for name, rows in regions(embedder, generator.memory, heard).items():
        prompt = Embedding(unit(rows), "tiny", "audio", heard.labels)
        put(f"sound, {name}", named(generator, judge, prompt, wanted, args.seeds))
    about = {"pictures of a row": args.seeds, "top1, top5": out}
    about["both shown"] = arithmetic(generator, judge, means, heard, concept, names, 40, args.seeds)
    encoder = bindplug.load_embedder("tiny-clip", "cpu")
    about["morph, rank correlation"] = morphs(generator, encoder, means, 20)
    print(about["both shown"], about["morph, rank correlation"])
    (args.output / "painting.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
