"""Ways of a sound's embedding into the region that a decoder of images knows."""

from __future__ import annotations

import numpy as np
from data import sounds
from world import World

from bindplug.bridge import LinearBridge, word_vectors
from bindplug.embedding.vectors import Embedding, softmax, unit
from bindplug.generation.settings import GenerationSettings

MOST = 8  # candidates


def regions(world: World) -> dict[str, np.ndarray]:
    """The sounds' rows by each way."""
    embedder, memory, heard = world.embedder, world.generator.bank, world.heard
    x, names = heard.vectors, memory.names[: memory.sounding]
    pictures = memory.vectors[: memory.sounding]
    train = [r["path"] for r in sounds() if r["split"] == "train"]
    middle = embedder.embed(audio=train).vectors.mean(axis=0)
    words = word_vectors(embedder, names)
    ridge = LinearBridge("small", "small", names, words, pictures)
    centred = LinearBridge("small", "small", names, words, pictures, centre=middle)
    cosines = x @ pictures.T

    def memory_at(temperature: float, among: np.ndarray = cosines) -> np.ndarray:
        return softmax(among / temperature) @ pictures

    return {
        "raw": x,
        "mean moved to the pictures'": x - middle + pictures.mean(axis=0),
        "ridge from words to pictures": ridge(heard).vectors,
        "the same, centred on sounds": centred(heard).vectors,
        "named by words, then their pictures": memory_at(0.05, x @ words.T),
        "nearest picture": pictures[cosines.argmax(axis=1)],
        "memory, temperature 0.1": memory_at(0.1),
        "memory, temperature 0.05": memory_at(0.05),
        "memory, temperature 0.02 (default)": memory_at(0.02),
    }


def named(world: World, prompt: Embedding, wanted, seeds: int, **settings) -> list[float]:
    """Top-1 and top-5 of images of rows that already are where the decoder wants them."""
    pictures = [
        world.generator.generate_batch(prompt[i], [seed], GenerationSettings(**settings))[0]
        for i in range(len(prompt)) for seed in range(seeds)
    ]  # fmt: skip
    hit = world.likeliest(pictures) == np.repeat(wanted, seeds)[:, None]
    return [float(hit[:, 0].mean()), float(hit.any(axis=1).mean())]


def settings(world: World, seeds: int) -> dict:
    """Top-1 and top-5 of concepts' mean images by guidance and steps: decided without any
    recording."""
    everyone = range(len(world.names))
    tried = [{"guidance_scale": g} for g in (2.0, 3.0, 5.0, 8.0)] + [{"steps": n} for n in (10, 40)]
    return {
        ", ".join(f"{k} {v:g}" for k, v in how.items()): named(
            world, world.means, everyone, seeds, **how
        )
        for how in tried
    }


def ways(world: World, seeds: int) -> dict:
    """Top-1 and top-5 of images from the unseen recordings by each way."""
    out = {}
    for name, rows in regions(world).items():
        prompt = Embedding(unit(rows), "small", "audio", world.heard.labels)
        out[name] = named(world, prompt, world.wanted, seeds)
        print(f"| {name} | {out[name][0]:.1%} | {out[name][1]:.1%} |", flush=True)
    return out


def candidates(world: World, seeds: int) -> dict:
    """Top-1 and top-5 by how many images are generated for each that is kept: the same eight of a
    row, in groups of so many."""
    prompts = {"means": (world.means, range(len(world.names))),
               "sounds": (world.heard, world.wanted)}  # fmt: skip
    out = {}
    for kind, (rows, wanted) in prompts.items():
        hits, cosines = [], []
        for i, label in enumerate(wanted):
            prompt = world.generator.prepare(rows[i])
            pictures = world.generator.generate_batch(prompt, list(range(MOST)))
            hits.append(world.likeliest(pictures) == label)
            cosines.append(world.embedder.embed(image=pictures).vectors @ prompt.vectors[0])
        hits, cosines = np.stack(hits), np.stack(cosines)  # (rows, MOST, 5), (rows, MOST)
        for count in (1, 2, 4, MOST):
            groups = cosines.reshape(len(cosines), -1, count)
            best = groups.argmax(axis=2) + np.arange(0, MOST, count)
            kept = np.take_along_axis(hits, best[..., None], axis=1)
            out[f"{kind}, {count}"] = [float(kept[..., 0].mean()), float(kept.any(2).mean())]
            print(kind, count, out[f"{kind}, {count}"], flush=True)
    return out
