"""Labelled files as people keep them: a folder of folders, or a CSV beside its files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ..embedding.inputs import expand
from ..embedding.modalities import MODALITIES
from ..errors import BindplugError

FILE_COLUMNS = ("filename", "file", "path", "audio", "image", "video", "depth", "thermal", "imu")
LABEL_COLUMNS = ("category", "label", "class", "labels", "target")
SEPARATOR = ";"  # between the labels of one file


@dataclass(frozen=True)
class Item:
    """A file, its labels, and its fold where the data has folds."""

    path: str
    labels: tuple[str, ...]
    fold: str = ""


def read_classified(data: str | Path, modality: str) -> list[Item]:
    """Files and labels of a folder of folders or a CSV.

    Args:
        data: a folder with one folder a class; a CSV with a column `filename` (or `file`, `path`)
            and a column `category` (or `label`; several separated by ";"), and perhaps `fold`;
            or a folder that holds such a CSV itself or in `meta/`, as ESC-50 does.
        sense: whose files they are.

    Raises:
        BindplugError: nothing of the kind, or a file that the CSV names and is not there.
    """
    data = Path(data)
    if data.is_dir():
        tables = sorted(data.glob("meta/*.csv")) + sorted(data.glob("*.csv"))
        if not tables:
            return _folders(data, modality)
        data = tables[0]
    rows = _read_csv(data)
    file_column = _column(rows[0], FILE_COLUMNS, data)
    label_column = _column(rows[0], LABEL_COLUMNS, data)
    find = _finder(data, modality)
    return [
        Item(
            find(row[file_column]),
            tuple(x.strip() for x in row[label_column].split(SEPARATOR) if x.strip()),
            row.get("fold") or "",
        )
        for row in rows
    ]


def read_pairs(data: str | Path, modalities: tuple[str, str]) -> list[tuple[str, str]]:
    """Pairs that belong together: a CSV with one column for each of two senses.

    Raises:
        BindplugError: no such CSV or columns, or a file that is not there.
    """
    data = Path(data)
    if data.is_dir():
        tables = sorted(data.glob("*.csv"))
        if not tables:
            raise BindplugError(f"{data}: holds no CSV with the columns {', '.join(modalities)}")
        data = tables[0]
    rows = _read_csv(data)
    for modality in modalities:
        _column(rows[0], (modality,), data)
    find = {s: (lambda v: v) if s == "text" else _finder(data, s) for s in modalities}
    return [tuple(find[s](row[s]) for s in modalities) for row in rows]


def _folders(data: Path, modality: str) -> list[Item]:
    endings = MODALITIES[modality].endings
    items = []
    for folder in sorted(p for p in data.iterdir() if p.is_dir()):
        if any(p.suffix.lower() in endings for p in folder.rglob("*")):
            items += [Item(path, (folder.name,)) for path in expand(modality, str(folder))]
    if not items:
        raise BindplugError(f"{data}: holds neither a CSV nor folders with {modality} files")
    return items


def _read_csv(path: Path) -> list[dict]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise BindplugError(f"{path}: cannot be read as a CSV file: {err}") from err
    if not rows:
        raise BindplugError(f"{path}: holds no rows")
    return rows


def _column(row: dict, names: tuple[str, ...], path: Path) -> str:
    for name in names:
        if name in row:
            return name
    raise BindplugError(f"{path}: has no column {' or '.join(names[:3])}; it has {', '.join(row)}")


def _finder(table: Path, modality: str):
    """Where a CSV's files are: as named, beside it, or in a folder named by the sense."""
    roots = (
        table.parent,
        table.parent.parent,
        table.parent / modality,
        table.parent.parent / modality,
    )

    def find(name: str) -> str:
        for root in roots:
            if (root / name).is_file():
                return str(root / name)
        raise BindplugError(f"{table}: names {name}, which is not there; unpack all of the data")

    return find
