"""The study's results as tables and plots: docs/ablations.md and docs/ablations-*.png.

python report.py
"""

from __future__ import annotations

import math
import statistics
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw
from rows import ROWS
from study import SHOTS, read_results

DOCS = Path(__file__).resolve().parents[2] / "docs"
FIGURES = ("audio zero-shot top-1", "audio to image R@5")
HEADS = ("audio to text, top-1", "audio to image, R@5")
PAPER = {  # ESC-50, fold 1, of the paper's table 5, by our names of values
    "temperature": {"learnt": 54.8, "0.05": 56.7, "0.07": 52.4, "0.2": 45.4, "1.0": 24.3},
    "head": {"linear": 56.7, "mlp": 51.0},
    "epochs": {"1x": 56.7, "2x": 61.3, "4x": 62.9},  # 16, 32 and 64
    "image augmentation": {"basic": 56.7, "strong": 22.6},
    "audio augmentation": {"basic": 56.5, "+ frequency mask": 56.7},
}
CLAIMS = {  # of the paper
    "temperature": "a fixed temperature is better than a learnt one, and low ones suit sounds",
    "head": "a linear head is better than an MLP",
    "epochs": "longer training helps",
    "image augmentation": "strong augmentation of images hurts sounds (and helps depth)",
    "alignment": "sounds of the image's own moment are slightly better (55.7 to 56.7)",
    "audio augmentation": "frequency masks help a little",
    "batch": "the best batch size depends on the data: 2,048 of AudioSet's millions of pairs "
    "(39.4, 53.9, 56.7 and 53.9 for 512, 1,024, 2,048 and 4,096)",
    "audio trunk": "a larger trunk is better for sounds (ViT-S 52.8, ViT-B 56.7)",
    "image trunk": "a larger image trunk lifts every other modality (ViT-H over ViT-B: sounds "
    "by 4 %)",
}
READING = Path(__file__).with_name("reading.md")
# Two-sided 95 % quantiles of Student's t, by degrees of freedom.
T = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


def interval(values: list[float]) -> tuple[float, float]:
    """Mean over seeds, and half of its 95 % interval (Student's t); 0 for one seed alone."""
    if len(values) < 2:
        return values[0], 0.0
    half = T.get(len(values) - 1, 1.96) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), half


def cells(seeds: dict[str, dict], figure: str) -> tuple[float, float] | None:
    values = [100 * run[figure]["value"] for run in seeds.values() if figure in run]
    return interval(values) if values else None


def shown(cell: tuple[float, float] | None) -> str:
    if cell is None:
        return ""
    return f"{cell[0]:.1f} ± {cell[1]:.1f}" if cell[1] else f"{cell[0]:.1f}"


def table(row: str, found: dict[str, dict]) -> list[str]:
    paper = PAPER.get(row, {})
    head = [row, *HEADS, *(["the paper, ESC-50"] if paper else [])]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for value, seeds in found.items():
        line = [value, *(shown(cells(seeds, f)) for f in FIGURES)]
        line += [str(paper.get(value, ""))] if paper else []
        lines.append(f"| {' | '.join(line)} |")
    return lines


def verdict(found: dict[str, dict]) -> str:
    """Whether the best and the worst value differ by more than the interval of their difference."""
    if min(map(len, found.values())) < 2:
        return "One seed alone says nothing about differences."
    named = {v: cells(seeds, FIGURES[0]) for v, seeds in found.items()}
    best, worst = max(named, key=lambda v: named[v][0]), min(named, key=lambda v: named[v][0])
    gap = named[best][0] - named[worst][0]
    noise = math.hypot(named[best][1], named[worst][1])
    size = "more than" if gap > noise else "within"
    apart = f"they are {gap:.1f} apart, {size} the interval of {noise:.1f}"
    return f"{best} is best and {worst} worst; {apart}."


def plot(path: Path, found: dict[str, dict]) -> None:
    """Bars of both figures, with their intervals."""
    width, height, left = max(90 * len(found) + 80, 420), 320, 50
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    scale = (height - 90) / 100
    for percent in range(0, 101, 20):
        y = height - 60 - percent * scale
        draw.line([left, y, width - 10, y], fill="#dddddd")
        draw.text((8, y - 6), f"{percent} %", fill="black")
    for i, (value, seeds) in enumerate(found.items()):
        for j, (figure, colour) in enumerate(zip(FIGURES, ("#2166ac", "#f4a582"), strict=True)):
            if (cell := cells(seeds, figure)) is None:
                continue
            x = left + 20 + 90 * i + 32 * j
            top = height - 60 - cell[0] * scale
            draw.rectangle([x, top, x + 26, height - 60], fill=colour)
            ends = [height - 60 - (cell[0] + s * cell[1]) * scale for s in (1, -1)]
            draw.line([x + 13, *ends[:1], x + 13, *ends[1:]], fill="black", width=2)
        label = "\n".join(textwrap.wrap(value, 13))
        draw.text((left + 16 + 90 * i, height - 56), label, fill="black", spacing=1)
    for j, (name, colour) in enumerate(zip(HEADS, ("#2166ac", "#f4a582"), strict=True)):
        draw.text((left + 10 + 170 * j, height - 16), name, fill=colour)
    image.save(path)


def main() -> None:
    results = read_results()
    lines = [
        "# Ablations", "",
        "The paper's tables 5 to 8 and figures 3 and 6 in our small world: sounds of 66 concepts",
        "bound to pictures of them (examples/ablations). Mean over seeds and its 95 % interval",
        "(Student's t). Differences within the intervals mean nothing.", "",
        READING.read_text(encoding="utf-8"),
    ]  # fmt: skip
    for row, found in results.items():
        found = {v: seeds for v, seeds in found.items() if seeds}
        seeds = min(map(len, found.values()))
        name = row.replace(" ", "-")
        plot(DOCS / f"ablations-{name}.png", found)
        count = f"{seeds} {'seed' if seeds == 1 else 'seeds'}"
        lines += [
            f"## {row.capitalize()} ({ROWS[row]['paper']}; {count})",
            "",
        ]
        lines += [f"The paper: {CLAIMS[row]}.", ""]
        lines += [*table(row, found), "", verdict(found), "", f"![{row}](ablations-{name}.png)", ""]
        shots = [f"{n} shots" for n in SHOTS]
        if any(shots[0] in run for of in found.values() for run in of.values()):
            heads = [n if k > 1 else n[:-1] for k, n in zip(SHOTS, shots, strict=True)]
            lines += [
                "Few sounds a class (Figure 3), top-1:",
                "",
                f"| | zero-shot | {' | '.join(heads)} |",
            ]
            lines += ["|---" * (len(shots) + 2) + "|"]
            for value, of in found.items():
                row_of = [shown(cells(of, f)) for f in (FIGURES[0], *shots)]
                lines.append(f"| {value} | {' | '.join(row_of)} |")
            lines.append("")
    (DOCS / "ablations.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
