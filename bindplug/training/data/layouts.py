"""Data sets as they are downloaded: AudioSet, SUN RGB-D, LLVIP and Ego4D."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ...errors import BindplugError, first_line
from ...storage.text_file import read_text
from .rows import Bad, Crop, Moment, Row

VIDEO = (".mp4", ".mkv", ".webm")
# Metres; see bindplug.transforms.depth. The Xtion's is a guess.
BASELINES = {"kv1": 0.075, "kv2": 0.075, "realsense": 0.095, "xtion": 0.095}
PERSON, BACKGROUND = "person", "background"
LEAST = 16  # pixels of the side of a box


def audioset(folder: Path, split: str, bad: Bad) -> list[Row]:
    """AudioSet: `SPLIT_segments.csv` (balanced_train, unbalanced_train, eval),
    `class_labels_indices.csv`, and anywhere below it the segments' videos, whose names begin with
    the YouTube id. Segments whose video is not there are left out without a word: many are gone."""
    names = {}
    for row in csv.reader(_lines(folder / "class_labels_indices.csv")[1:]):
        if len(row) > 2:
            names[row[1]] = row[2]
    videos: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in VIDEO:
            videos.setdefault(path.stem[:11], path)
    tables = sorted(folder.glob(f"{split or '*'}_segments.csv"))
    if not tables:
        raise BindplugError(f"{folder}: has no {split or 'SPLIT'}_segments.csv")
    rows = []
    for table in tables:
        for cells in csv.reader(_lines(table), skipinitialspace=True):
            if cells and not cells[0].startswith("#") and (path := videos.get(cells[0])):
                if len(cells) < 4:
                    bad.add(f"{table}: {cells[0]} has no labels")
                    continue
                labels = tuple(names.get(m, m) for m in cells[3].split(","))
                whole = Moment(str(path))
                rows.append(Row({"image": (whole,), "audio": (whole,)}, str(path), labels))
    if not rows:
        raise BindplugError(f"{folder}: has none of the videos of {tables[0].name}")
    return rows


def sunrgbd(folder: Path, split: str, bad: Bad) -> list[Row]:
    """SUN RGB-D: folders below kv1, kv2, realsense and xtion, each with `image/`, `depth_bfx/`
    (in-filled) or `depth/`, `intrinsics.txt` and `scene.txt`. A split is a text file of such
    folders, one a line, `SPLIT.txt`."""
    root = folder / "SUNRGBD" if (folder / "SUNRGBD").is_dir() else folder
    chosen = None
    if split:
        chosen = {line.strip().strip("/") for line in _lines(folder / f"{split}.txt")}
    rows = []
    for scene in sorted(root.rglob("scene.txt")):
        place = scene.parent
        relative = place.relative_to(root).as_posix()
        if chosen is not None and not {relative, f"SUNRGBD/{relative}"} & chosen:
            continue
        images = sorted((place / "image").glob("*.jpg"))
        depths = sorted((place / "depth_bfx").glob("*.png")) or sorted(
            (place / "depth").glob("*.png")
        )
        if not images or not depths:
            bad.add(f"{place}: has no image or no depth")
            continue
        try:
            focal = float((place / "intrinsics.txt").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            bad.add(f"{place / 'intrinsics.txt'}: holds no focal length")
            continue
        baseline = BASELINES.get(relative.split("/")[0], BASELINES["kv1"])
        options = {"unit": "sunrgbd", "focal_length": focal, "baseline": baseline}
        inputs = {"image": (str(images[0]),), "depth": (str(depths[0]),)}
        label = scene.read_text("utf-8", "replace").strip()
        rows.append(Row(inputs, str(images[0]), (label,) if label else (), "", {"depth": options}))
    if not rows:
        raise BindplugError(f"{folder}: has no scene of SUN RGB-D{f' in {split}' if split else ''}")
    return rows


def llvip(folder: Path, split: str, bad: Bad) -> list[Row]:
    """LLVIP: `visible/SPLIT`, `infrared/SPLIT` and `Annotations`. "train" gives whole images;
    "test" the annotated persons and as many places without one, cut out of both."""
    split = split or "train"
    rows = []
    for visible in sorted((folder / "visible" / split).glob("*.jpg")):
        infrared = folder / "infrared" / split / visible.name
        if not infrared.exists():
            bad.add(f"{infrared}: no such file")
        elif split == "train":
            inputs = {"image": (str(visible),), "thermal": (str(infrared),)}
            rows.append(Row(inputs, str(visible)))
        else:
            note = folder / "Annotations" / f"{visible.stem}.xml"
            try:
                rows += _boxes(visible, infrared, note)
            except (OSError, ValueError, AttributeError, ElementTree.ParseError) as err:
                bad.add(f"{note}: cannot be read ({first_line(err)})")
    if not rows:
        raise BindplugError(f"{folder}: has no images in visible/{split} and infrared/{split}")
    return rows


def _boxes(visible: Path, infrared: Path, note: Path) -> Iterator[Row]:
    tree = ElementTree.parse(note)
    width, height = (int(tree.find(f"size/{n}").text) for n in ("width", "height"))
    corners = ("xmin", "ymin", "xmax", "ymax")
    persons = [tuple(int(float(box.find(c).text)) for c in corners) for box in tree.iter("bndbox")]
    persons = [b for b in persons if min(b[2] - b[0], b[3] - b[1]) >= LEAST]
    rng = random.Random(visible.stem)
    places = []
    for box in persons:
        w, h = box[2] - box[0], box[3] - box[1]
        for _ in range(50):
            left = rng.randrange(max(1, width - w))
            top = rng.randrange(max(1, height - h))
            place = (left, top, left + w, top + h)
            if not any(_overlap(place, other) for other in persons):
                places.append(place)
                break
    for label, boxes in ((PERSON, persons), (BACKGROUND, places)):
        for box in boxes:
            inputs = {"image": (Crop(str(visible), box),), "thermal": (Crop(str(infrared), box),)}
            yield Row(inputs, f"{visible} {box}", (label,))


def _overlap(a: tuple, b: tuple) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def ego4d(folder: Path, split: str, bad: Bad) -> list[Row]:
    """Ego4D: `ego4d.json`, `full_scale/UID.mp4` and `imu/UID.csv`, below a version's folder or
    beside it. Video and motion of the same moment; the scenarios are the labels. A split is a text
    file of ids, `SPLIT.txt`."""
    chosen = set(map(str.strip, _lines(folder / f"{split}.txt"))) if split else None
    note = next(iter(sorted(folder.rglob("ego4d.json"))), folder / "ego4d.json")
    try:
        videos = json.loads(read_text(note))["videos"]
        known = {v["video_uid"]: (v["scenarios"] or (), float(v["duration_sec"])) for v in videos}
    except (ValueError, KeyError, TypeError) as err:
        raise BindplugError(f"{note}: is not a list of Ego4D's videos") from err
    films = {p.stem: p for p in sorted(folder.rglob("*.mp4"))}
    rows = []
    for path in sorted(folder.rglob("imu/*.csv")):
        uid = path.stem
        if uid not in known or (chosen is not None and uid not in chosen):
            continue
        if uid not in films:
            bad.add(f"{path}: has no video {uid}.mp4")
            continue
        scenarios, seconds = known[uid]
        inputs = {
            "image": (Moment(str(films[uid]), 0.0, seconds),),
            "imu": (Moment(str(path), 0.0, seconds),),
        }
        rows.append(Row(inputs, str(films[uid]), tuple(scenarios)))
    if not rows:
        raise BindplugError(f"{folder}: has no video with motion")
    return rows


def _lines(path: Path) -> list[str]:
    return read_text(path).splitlines()


LAYOUTS = {"audioset": audioset, "sunrgbd": sunrgbd, "llvip": llvip, "ego4d": ego4d}


def recognise(folder: Path) -> str:
    """The name of the data set whose folder this is, "" for none."""
    if (folder / "class_labels_indices.csv").is_file():
        return "audioset"
    if (folder / "SUNRGBD").is_dir() or any((folder / s).is_dir() for s in ("kv1", "kv2")):
        return "sunrgbd"
    if (folder / "visible").is_dir() and (folder / "infrared").is_dir():
        return "llvip"
    return "ego4d" if any(folder.glob("*/ego4d.json")) or any(folder.glob("ego4d.json")) else ""
