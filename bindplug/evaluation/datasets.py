"""Labelled files: a folder with a folder for each class, or a CSV beside its files."""

import csv
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..embedding.inputs import expand
from ..embedding.modalities import MODALITIES
from ..errors import BindplugError, check_choice
from ..storage.text_file import read_text

FILE_COLUMNS = ("filename", "file", "path", "audio", "image", "video", "depth", "thermal", "imu")
LABEL_COLUMNS = ("category", "label", "class", "labels", "target")
SEPARATOR = ";"  # between the labels of one file


@dataclass(frozen=True)
class Item:
    """A file, its labels (at least one), and its fold where the data has folds."""

    path: str
    labels: tuple[str, ...]
    fold: str = ""


def read_classified(data: str | Path, modality: str) -> list[Item]:
    """Files and labels of a folder of folders or a CSV.

    Args:
        data: a folder with one folder for each class; a CSV with a column `filename` (or `file`,
            `path`) and a column `category` (or `label`; several separated by ";"), and perhaps
            `fold`; or a folder that holds such a CSV itself or in `meta/`, as ESC-50 does.
        modality: a name in `bindplug.embedding.modalities.MODALITIES`; which files count, and the
            folder beside the CSV that is searched for them.

    Raises BindplugError: an unknown modality, no such data, a row without a file or a label (its
    line is named), or a file that the CSV names and that is not there."""
    check_choice("modality", modality, MODALITIES)
    data = Path(data)
    if data.is_dir():
        tables = sorted(data.glob("meta/*.csv")) + sorted(data.glob("*.csv"))
        if not tables:
            return _folders(data, modality)
        data = tables[0]
    find, items = _finder(data, modality), []
    for file, names, row in _read_table(data, FILE_COLUMNS, LABEL_COLUMNS):
        labels = tuple(name.strip() for name in names.split(SEPARATOR) if name.strip())
        items.append(Item(find(file), labels, row.get("fold") or ""))
    return items


def read_pairs(data: str | Path, modalities: tuple[str, str]) -> list[tuple[str, str]]:
    """Pairs of inputs that belong together, from a CSV with one column for each modality.

    Returns:
        For each row the values of the two columns: texts as they are, others as paths.

    Raises BindplugError: an unknown modality, no such CSV or columns, an empty cell (its line is
    named), or a file that is not there."""
    for modality in modalities:
        check_choice("modality", modality, MODALITIES)
    data = Path(data)
    if data.is_dir():
        tables = sorted(data.glob("*.csv"))
        if not tables:
            raise BindplugError(f"{data}: holds no CSV with the columns {', '.join(modalities)}")
        data = tables[0]
    first, second = (str if m == "text" else _finder(data, m) for m in modalities)
    columns = [(modality,) for modality in modalities]
    return [(first(a), second(b)) for a, b, _ in _read_table(data, *columns)]


def _folders(data: Path, modality: str) -> list[Item]:
    endings = MODALITIES[modality].endings
    items = []
    for folder in sorted(p for p in data.iterdir() if p.is_dir()):
        if any(p.suffix.lower() in endings for p in folder.rglob("*")):
            items += [Item(path, (folder.name,)) for path in expand(modality, str(folder))]
    if not items:
        raise BindplugError(f"{data}: holds neither a CSV nor folders with {modality} files")
    return items


def _read_table(path: Path, *wanted: tuple[str, ...]) -> list[tuple]:
    """Of each row of a CSV the values of the wanted columns, and the whole row as a dictionary.

    Args:
        wanted: for each column the names that it may have, of which the first that is there counts.

    Raises BindplugError: no CSV, no such column, no row, an empty value, or a row with more values
    than the header has columns."""
    out = []
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
        columns = reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        names = [next((n for n in choice if n in columns), None) for choice in wanted]
        if columns and None in names:
            choice = " or ".join(wanted[names.index(None)][:3])
            raise BindplugError(f"{path}: has no column {choice}; it has {', '.join(columns)}")
        for row in reader:
            line = f"{path}: line {reader.line_num}"
            if any(value.strip() for value in row.pop(None, ())):
                raise BindplugError(
                    f"{line} has more values than the header has columns; put values that hold a "
                    "comma in double quotes"
                )
            for name in names:
                if not (row[name] or "").replace(SEPARATOR, "").strip():
                    raise BindplugError(f"{line} has no {name}; fill it in or delete it")
            out.append((*(row[name] for name in names), row))
    except csv.Error as err:
        raise BindplugError(f"{path}: cannot be read as a CSV file: {err}") from err
    if not out:
        raise BindplugError(f"{path}: holds no rows")
    return out


def _finder(table: Path, modality: str) -> Callable[[str], str]:
    """A function from a name in a CSV to the path of its file, beside the CSV or one folder up."""
    near = (table.parent, table.parent.parent)
    roots = (*near, *(folder / modality for folder in near))

    def find(name: str) -> str:
        for root in roots:
            if os.path.isfile(root / name):  # False for what is no name at all
                return str(root / name)
        raise BindplugError(f"{table}: names {name}, which is not there; unpack all of the data")

    return find
