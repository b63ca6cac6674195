"""The images themselves: a sheet to look at, and likeness to real ones by another encoder."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from data import ROOT, table
from PIL import Image, ImageDraw, ImageFont
from world import World

from bindplug.evaluation.images import evaluate_images

SEEDS, SIDE, LEFT, BLOCKS = 8, 96, 110, 2


def first_of_each(world: World) -> list[int]:
    """The first unseen recording of every concept that has one."""
    return [world.concept.index(name) for name in world.names if name in world.concept]


def sheet(world: World, seeds: int, path: Path) -> dict:
    """One row a concept, generated from its first unseen recording with the seeds 0 to 7, each as
    it comes: one candidate."""
    rows = first_of_each(world)
    high, block = -(-len(rows) // BLOCKS), LEFT + SEEDS * SIDE + 20
    page = Image.new("RGB", (BLOCKS * block, high * SIDE), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=13)
    for n, i in enumerate(rows):
        x, y = n // high * block, n % high * SIDE
        draw.text((x + 4, y + SIDE // 2 - 8), world.concept[i], fill="black", font=font)
        pictures = world.generator.generate(world.heard[i], num_images=SEEDS, candidates=1)
        for seed, picture in enumerate(pictures):
            page.paste(picture, (x + LEFT + seed * SIDE, y))
    page.save(path, quality=75)
    return {"concepts": len(rows), "seeds": SEEDS}


def likeness(world: World, seeds: int) -> dict:
    """`bindplug evaluate generate`, judged by the space that did not condition, beside real
    images of a style that no model saw."""
    with TemporaryDirectory() as folder:
        painted, real = Path(folder) / "painted", Path(folder) / "real"
        for i, name in enumerate(world.concept):
            own = painted / name
            own.mkdir(parents=True, exist_ok=True)
            pictures = world.generator.generate(world.heard[i], num_images=seeds)
            for seed, picture in enumerate(pictures):
                picture.save(own / f"{i:02d}_{seed}.png")
        for n, row in enumerate(r for r in table("pictures.csv") if r["split"] == "val"):
            own = real / row["concept"]
            own.mkdir(parents=True, exist_ok=True)
            _on_white(ROOT / row["file"]).save(own / f"{n:03d}.png")
        labels = Path(folder) / "labels.txt"
        labels.write_text("\n".join(world.names) + "\n")
        figures, _ = evaluate_images(world.other, painted, references=real, labels=labels)
        ceiling, _ = evaluate_images(world.other, real, labels=labels)
    kept = ("judge", "files", "top-1", "top-5", "image similarity, own",
            "image similarity, other", "diversity")  # fmt: skip
    out = {name: figures[name] for name in kept}
    return out | {"real pictures": {k: ceiling[k] for k in ("top-1", "top-5", "diversity")}}


def _on_white(path: Path) -> Image.Image:
    picture = Image.open(path).convert("RGBA")
    ground = Image.new("RGBA", (152, 152), "white")
    ground.alpha_composite(picture, ((152 - picture.width) // 2, (152 - picture.height) // 2))
    return ground.convert("RGB")
