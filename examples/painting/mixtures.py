"""Two things at once: sums of embeddings, sounds heard together, and what lies between two; every
image generated once."""

from __future__ import annotations

import numpy as np
from evaluate import text_queries
from world import World

from bindplug.embedding.vectors import compose
from bindplug.generation.audio_prompt import mix_audio


def _both(best: np.ndarray, wanted: list[tuple[int, int]], each: int = 1) -> float:
    """Share of rows whose five likeliest hold both wanted ones."""
    wanted = [pair for pair in wanted for _ in range(each)]
    return float(np.mean([set(pair) <= set(row) for pair, row in zip(wanted, best, strict=True)]))


def _shown(world: World, rows, wanted: list[tuple[int, int]], seeds: int) -> float:
    """Share of images of the rows that show both, by the judge."""
    pictures = world.generator.generate(rows, num_images=seeds, candidates=1)
    return _both(world.likeliest(pictures), wanted, seeds)


def arithmetic(world: World, seeds: int, pairs: int = 40) -> dict:
    """Sound alone, image alone, and their sum: share of images that show both, by the judge."""
    sounds, others = world.pairs(pairs)
    wanted = list(zip(np.array(world.wanted)[sounds], others, strict=True))
    sound, picture = world.heard[sounds], world.means[others]
    ways = {"sound alone": sound, "picture alone": picture,
            "sound + picture": compose([(sound, 0.5), (picture, 0.5)])}  # fmt: skip
    return {name: _shown(world, rows, wanted, seeds) for name, rows in ways.items()}


def together(world: World, seeds: int, pairs: int = 40) -> dict:
    """Two unseen recordings as one sound (waveforms added), as a sum of embeddings, and the first
    alone: how often the five nearest names, and the judge's of an image, hold both."""
    first, _ = world.pairs(pairs)
    rng = np.random.default_rng(2)
    files = world.heard.labels
    second = [rng.choice([j for j, c in enumerate(world.concept) if c != world.concept[i]])
              for i in first]  # fmt: skip
    wanted = [(world.wanted[i], world.wanted[j]) for i, j in zip(first, second, strict=True)]
    a, b = world.heard[first], world.heard[second]
    waves = [mix_audio([files[i], files[j]]) for i, j in zip(first, second, strict=True)]
    ways = {
        "the first alone": a,
        "waveforms added": world.embedder.embed(audio=waves),
        "embeddings added": compose([(a, 0.5), (b, 0.5)]),
    }
    text = text_queries(world.embedder, world.names).vectors
    out = {}
    for name, rows in ways.items():
        heard = np.argsort(-(rows.vectors @ text.T), axis=1)[:, :5]
        shown = _shown(world, rows, wanted, seeds)
        out[name] = {"heard both": _both(heard, wanted), "shown both": shown}
    turned = (ways["waveforms added"].vectors * ways["embeddings added"].vectors).sum(axis=1)
    out["cosine of the two ways"] = {"mean": float(turned.mean()), "least": float(turned.min())}
    return out


def morphs(world: World, seeds: int, pairs: int = 20, frames: int = 9) -> dict:
    """Along morphs between concepts' mean images: rank correlation of the place with how much
    nearer a frame is to the end than to the start, by another encoder than the one conditioning."""
    rng, out = np.random.default_rng(1), []
    for _ in range(pairs):
        i, j = rng.choice(len(world.means), 2, replace=False)
        film = world.generator.morph(world.means[i], world.means[j], frames)
        film = world.other.embed(image=film).vectors
        nearer = film @ film[-1] - film @ film[0]
        out.append(np.corrcoef(np.arange(frames), nearer.argsort().argsort())[0, 1])
    return {"mean": float(np.mean(out)), "least": float(np.min(out)), "pairs": pairs}
