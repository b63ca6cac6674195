"""CSV files that say which inputs have which labels or belong together."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import BindplugError
from ..storage.text_file import read_text

LABEL_COLUMNS = ("category", "label", "class", "labels", "target")
SEPARATOR = ";"  # between the labels of one row


@dataclass(frozen=True)
class Record:
    """A row of a table.

    Attributes:
        line: where it ends in the file, from 1.
        cells: by column; "" where the row is too short.
        problem: why the row cannot be used, "" where it can.
    """

    line: int
    cells: dict
    problem: str = ""


def read_csv(path: str | Path) -> tuple[list[str], list[Record]]:
    """The columns and the rows of a CSV, or of a `.tsv`, whose first line names the columns.

    Raises BindplugError: no such file, no text, or quotes that do not close."""
    path, records = Path(path), []
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    text = io.StringIO(read_text(path), newline="")
    reader = csv.DictReader(text, delimiter=separator, strict=True, restval="")
    try:
        columns = reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        for cells in reader:
            surplus = any(value.strip() for value in cells.pop(None, ()))
            problem = "has more values than the header has columns; put values that hold a comma "
            problem = f"{problem}in double quotes" if surplus else ""
            records.append(Record(reader.line_num, cells, problem))
    except csv.Error as err:
        raise BindplugError(f"{path}: cannot be read as a CSV file: {err}") from err
    return columns, records


def split_labels(cell) -> tuple[str, ...]:
    """The labels in a cell, "dog; animal", or in a list of them."""
    parts = cell if isinstance(cell, list) else str(cell).split(SEPARATOR)
    return tuple(label for part in parts if (label := str(part).strip()))


def find_beside(table: str | Path, name: str, modality: str) -> str:
    """The path of a file that a table names: beside it, one folder up, in a folder of the
    modality's name at either place, or from where the program runs.

    Raises BindplugError: it is not there."""
    here = Path(table).parent
    for root in (here, here.parent, here / modality, here.parent / modality, Path()):
        if os.path.isfile(root / name):  # False for what is no name at all
            return str(root / name)
    raise BindplugError(f"{table}: names {name}, which is not there")
