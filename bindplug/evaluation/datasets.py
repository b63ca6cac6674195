"""Labelled files: a folder with a folder for each class, or a CSV beside its files."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..embedding.inputs import expand
from ..embedding.modalities import MODALITIES
from ..embedding.tables import LABEL_COLUMNS, SEPARATOR, find_beside, read_csv, split_labels
from ..errors import BindplugError, check_choice

FILE_COLUMNS = ("filename", "file", "path", "audio", "image", "video", "depth", "thermal", "imu")


@dataclass(frozen=True)
class Item:
    """A file, its labels (at least one), and its fold where the data has folds."""

    path: str
    labels: tuple[str, ...]
    fold: str = ""


def read_classified(data: str | Path, modality: str) -> list[Item]:
    """Files and labels of a folder of folders or a CSV.

    Args:
        data: a folder with one folder for each class; a CSV with a column of the modality's name
            (or `filename`, `file`, `path`) and a column `category` (or `label`; several separated
            by ";"), and perhaps `fold`; or a folder that holds such a CSV itself or in `meta/`, as
            ESC-50 does.
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
    return [
        Item(find_beside(data, file, modality), split_labels(names), row.get("fold", ""))
        for file, names, row in _read_table(data, (modality, *FILE_COLUMNS), LABEL_COLUMNS)
    ]


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
    rows = _read_table(data, *((modality,) for modality in modalities))
    first, second = (str if m == "text" else partial(find_beside, data, modality=m)
                     for m in modalities)  # fmt: skip
    return [(first(a), second(b)) for a, b, _ in rows]


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
    columns, records = read_csv(path)
    names = [next((n for n in choice if n in columns), None) for choice in wanted]
    if columns and None in names:
        choice = " or ".join(wanted[names.index(None)][:3])
        raise BindplugError(f"{path}: has no column {choice}; it has {', '.join(columns)}")
    if not records:
        raise BindplugError(f"{path}: holds no rows")
    out = []
    for record in records:
        problem = record.problem
        for name in names:
            if not record.cells[name].replace(SEPARATOR, "").strip():
                problem = problem or f"has no {name}; fill it in or delete it"
        if problem:
            raise BindplugError(f"{path}: line {record.line} {problem}")
        out.append((*(record.cells[name] for name in names), record.cells))
    return out
