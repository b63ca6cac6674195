"""Rows from a CSV, a JSONL, a folder of folders or a folder of videos."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ...embedding.inputs import expand
from ...embedding.modalities import MODALITIES
from ...embedding.tables import LABEL_COLUMNS, Record, find_beside, read_csv, split_labels
from ...errors import BindplugError
from ...storage.text_file import read_text
from .rows import Bad, Moment, Row


def table_rows(
    path: Path, modalities: Iterable[str], bad: Bad, names: dict[str, str] | None = None
) -> list[Row]:
    """Rows of a `.csv` or `.jsonl` with a column, or key, for each modality, and perhaps `label`
    (several separated by ";") and `group`. A column `video` gives image and sound of one moment; a
    list in a JSONL gives alternatives, one of which a view shows.

    Args:
        modalities: that may stand in it; an empty cell is a row without that modality.
        names: of columns that are called otherwise.

    Raises BindplugError: no such file or no table, or no column of two modalities."""
    wanted, names = {*modalities, "video"}, names or {}
    known = {*wanted, *MODALITIES}
    rows, (columns, records) = [], _records(path)
    for modality, column in names.items():
        if column and column not in columns:
            has = ", ".join(sorted(columns)) or "nothing"
            raise BindplugError(f"{path}: has no column {column!r} for {modality}; it has {has}")
    columns |= {modality for modality, column in names.items() if column in columns}
    for record in records:
        own = {m: record.cells.get(column) for m, column in names.items() if column}
        cells = {**record.cells, **own}
        given = {m: _several(v) for m, v in cells.items() if m in known and v not in (None, "", [])}
        problem = record.problem or ("" if given else "has no input")
        if problem:
            bad.add(f"{path}: line {record.line} {problem}")
            continue
        try:
            inputs = {
                m: [find_beside(path, v, m) for v in values] if m in wanted - {"text"} else values
                for m, values in given.items()
            }
        except BindplugError as err:
            bad.add(f"{err} (line {record.line})")
            continue
        rows.append(Row(_inputs(dict(inputs)), _name(inputs), labels_of(cells), group_of(cells)))
    if not columns & known:
        raise BindplugError(
            f"{path}: has no column image, audio, text, ...; it has "
            f"{', '.join(sorted(columns)) or 'nothing'}"
        )
    return rows


def _records(path: Path) -> tuple[set[str], list[Record]]:
    """The columns, or keys, and the rows of a table."""
    if path.suffix.lower() not in (".jsonl", ".ndjson"):
        columns, records = read_csv(path)
        return set(columns), records
    records = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            try:
                records.append(Record(number, dict(json.loads(line))))
            except (ValueError, TypeError) as err:
                raise BindplugError(f"{path}: line {number} is not a JSON object") from err
    return {key for record in records for key in record.cells}, records


def _several(value) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else [str(value)]


def _inputs(given: dict[str, list[str]]) -> dict[str, tuple]:
    videos = tuple(map(Moment, given.pop("video", ())))
    inputs = {m: tuple(values) for m, values in given.items()}
    if videos:
        inputs.setdefault("image", videos)
        inputs.setdefault("audio", videos)
    return inputs


def _name(inputs: dict[str, list[str]]) -> str:
    return (inputs.get("image") or next(iter(inputs.values())))[0]


def labels_of(cells: dict) -> tuple[str, ...]:
    given = (cells[k] for k in LABEL_COLUMNS if cells.get(k) not in (None, ""))
    return split_labels(next(given, ""))


def group_of(cells: dict) -> str:
    group = cells.get("group")
    return "" if group is None else str(group)


def folder_rows(folder: Path, modalities: Iterable[str], bad: Bad) -> list[Row]:
    """Rows of DIR/CLASS/files or DIR/MODALITY/CLASS/files.

    In a class, files of one name without ending are a row, and files without a partner are bad
    data; where none has one, each file of another modality is a row with all of the class's images
    as alternatives. A class without two modalities is bad data.

    Raises BindplugError: a folder without classes."""
    modalities = [m for m in modalities if m in MODALITIES and m not in ("video", "text")]
    split = [m for m in modalities if (folder / m).is_dir()]
    files: dict[str, dict[str, list[str]]] = {}
    for modality in split or modalities:
        root = folder / modality if split else folder
        for place in sorted(p for p in root.iterdir() if p.is_dir() and p.name[0] != "."):
            found = files.setdefault(place.name, {})
            try:
                found[modality] = _unclaimed(expand(modality, str(place)), found)
            except BindplugError:
                found[modality] = []
    if not files:
        raise BindplugError(f"{folder}: holds no folders of classes")
    rows = []
    for name, found in files.items():
        found = {m: paths for m, paths in found.items() if paths}
        if "image" not in found or len(found) < 2:
            has = ", ".join(found) or "nothing"
            bad.add(f"{folder}: class {name!r} has {has}; an image and another modality are needed")
            continue
        rows += _class_rows(name, found, bad)
    return rows


def _unclaimed(paths: list[str], found: dict[str, list[str]]) -> list[str]:
    """Files that no other modality of this class has by their ending, such as a .png, which may
    hold an image or depth."""
    claimed = {p for taken in found.values() for p in taken}
    return [p for p in paths if p not in claimed]


def _class_rows(name: str, found: dict[str, list[str]], bad: Bad) -> list[Row]:
    by_stem: dict[str, dict[str, tuple]] = {}
    for modality, paths in found.items():
        for path in paths:
            of_stem = by_stem.setdefault(Path(path).stem, {})
            of_stem[modality] = (*of_stem.get(modality, ()), path)
    pairs, alone = [], []
    for x in by_stem.values():
        (pairs if "image" in x and len(x) > 1 else alone).append(x)
    if not pairs:
        others = [(m, p) for m, paths in found.items() if m != "image" for p in paths]
        images = tuple(found["image"])
        return [Row({"image": images, m: (p,)}, p, (name,), name) for m, p in others]
    for path in (path for x in alone for paths in x.values() for path in paths):
        bad.add(f"{path}: has no partner of its name, by which its class is paired")
    return [Row(x, x["image"][0], (name,), name) for x in pairs]


def video_rows(folder: Path) -> list[Row]:
    """A row for each video below a folder, image and sound of one moment; its own folder is its
    label.

    Raises BindplugError: a folder without videos."""
    rows = []
    for path in expand("video", str(folder)):
        place = Path(path).parent
        labels = (place.name,) if place != folder else ()
        rows.append(Row({"image": (Moment(path),), "audio": (Moment(path),)}, path, labels))
    return rows
