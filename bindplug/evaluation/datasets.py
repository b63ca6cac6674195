"""Labelled files: a folder with a folder for each class, or a CSV beside its files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..embedding.inputs import expand
from ..embedding.modalities import MODALITIES
from ..errors import BindplugError
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

    Raises:
        BindplugError: an unknown modality, no such data, a row without a file or a label (its line
            is named), or a file that the CSV names and that is not there.
    """
    _check_modality(modality)
    data = Path(data)
    if data.is_dir():
        tables = sorted(data.glob("meta/*.csv")) + sorted(data.glob("*.csv"))
        if not tables:
            return _folders(data, modality)
        data = tables[0]
    table = _Table(data)
    file_column, label_column = table.column(FILE_COLUMNS), table.column(LABEL_COLUMNS)
    find, items = _finder(data, modality), []
    for line, row in table.rows:
        labels = tuple(x.strip() for x in row[label_column].split(SEPARATOR) if x.strip())
        if not labels:
            raise table.lacks(line, label_column)
        items.append(Item(find(row[file_column]), labels, row.get("fold") or ""))
    return items


def read_pairs(data: str | Path, modalities: tuple[str, str]) -> list[tuple[str, str]]:
    """Pairs of inputs that belong together, from a CSV with one column for each modality.

    Returns:
        For each row the values of the two columns: texts as they are, others as paths.

    Raises:
        BindplugError: an unknown modality, no such CSV or columns, an empty cell (its line is
            named), or a file that is not there.
    """
    for modality in modalities:
        _check_modality(modality)
    data = Path(data)
    if data.is_dir():
        tables = sorted(data.glob("*.csv"))
        if not tables:
            raise BindplugError(f"{data}: holds no CSV with the columns {', '.join(modalities)}")
        data = tables[0]
    table = _Table(data)
    for modality in modalities:
        table.column((modality,))
    find = {s: (lambda v: v) if s == "text" else _finder(data, s) for s in modalities}
    return [tuple(find[s](row[s]) for s in modalities) for _, row in table.rows]


def _check_modality(modality: str) -> None:
    if modality not in MODALITIES:
        raise BindplugError(f"no modality {modality!r}; there are: {', '.join(MODALITIES)}")


def _folders(data: Path, modality: str) -> list[Item]:
    endings = MODALITIES[modality].endings
    items = []
    for folder in sorted(p for p in data.iterdir() if p.is_dir()):
        if any(p.suffix.lower() in endings for p in folder.rglob("*")):
            items += [Item(path, (folder.name,)) for path in expand(modality, str(folder))]
    if not items:
        raise BindplugError(f"{data}: holds neither a CSV nor folders with {modality} files")
    return items


class _Table:
    """A CSV with a header: `rows` are (line number, {column: value}).

    Columns that were asked for by `column` may not be empty in any row.

    Raises:
        BindplugError: no CSV, no row, or a row with more values than the header has columns.
    """

    def __init__(self, path: Path):
        self.path, self.rows = path, []
        try:
            reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
            self.columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = self.columns
            for row in reader:
                if any(value.strip() for value in row.pop(None, ())):
                    raise BindplugError(
                        f"{path}: line {reader.line_num} has more values than the header has "
                        "columns; put values that hold a comma in double quotes"
                    )
                self.rows.append((reader.line_num, row))
        except csv.Error as err:
            raise BindplugError(f"{path}: cannot be read as a CSV file: {err}") from err
        if not self.rows:
            raise BindplugError(f"{path}: holds no rows")

    def column(self, names: tuple[str, ...]) -> str:
        """The first of some columns that is there, filled in every row."""
        name = next((n for n in names if n in self.columns), None)
        if name is None:
            raise BindplugError(
                f"{self.path}: has no column {' or '.join(names[:3])}; "
                f"it has {', '.join(self.columns)}"
            )
        for line, row in self.rows:
            if not (row[name] or "").strip():
                raise self.lacks(line, name)
        return name

    def lacks(self, line: int, column: str) -> BindplugError:
        return BindplugError(f"{self.path}: line {line} has no {column}; fill it in or delete it")


def _finder(table: Path, modality: str) -> Callable[[str], str]:
    """A function from a name in a CSV to the path of its file, beside the CSV or one folder up."""
    near = (table.parent, table.parent.parent)
    roots = (*near, *(folder / modality for folder in near))

    def find(name: str) -> str:
        for root in roots:
            try:
                if (root / name).is_file():
                    return str(root / name)
            except (OSError, ValueError):  # too long, or no name of a file at all
                pass
        raise BindplugError(f"{table}: names {name}, which is not there; unpack all of the data")

    return find
