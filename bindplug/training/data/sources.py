"""Rows of a `--train-data` or `--val-data`, whatever it is."""

from __future__ import annotations

import glob
from pathlib import Path

from ...errors import BindplugError
from . import layouts
from .rows import Bad, Row, Source, make_sources
from .tables import folder_rows, table_rows, video_rows

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".mov")


def kind_of(data: str, kind: str = "auto") -> str:
    """What data is: by its ending, by the marks of a data set's folder, else a folder of classes.

    Raises BindplugError: nothing is there."""
    if kind != "auto":
        return kind
    place, _ = split_of(data)
    if place.endswith((".tar", ".tar.gz", ".tgz")) or ("{" in place and ".tar" in place):
        return "webdataset"
    path = Path(place)
    if path.suffix.lower() in TABLES and not path.is_dir():
        return "jsonl" if path.suffix.lower() in (".jsonl", ".ndjson") else "csv"
    if not path.is_dir():
        raise BindplugError(f"{place}: no such data; give a CSV, JSONL, folder or shards")
    if glob.glob(str(path / "*.tar")):
        return "webdataset"
    found = layouts.recognise(path)
    if found:
        return found
    files = [p for p in path.rglob("*") if p.is_file() and p.name[0] != "."][:1000]
    videos = [p for p in files if p.suffix.lower() in VIDEOS]
    return "videos" if len(videos) * 2 > len(files) else "folder"


def split_of(data: str) -> tuple[str, str]:
    """ "PLACE#SPLIT" to both; a path that has a "#" of its own is left whole."""
    if Path(data).exists():
        return data, ""
    place, _, split = data.rpartition("#")
    return (place, split) if place else (data, "")


def read_rows(
    data: str, kind: str, modalities: list[str], bad: Bad, names: dict[str, str] | None = None
) -> list[Row]:
    """Rows of data that is no stream.

    Args:
        data: a path, for data sets with "#SPLIT".
        kind: as `kind_of` gives it.
        modalities: with a tower.
        names: of a table's columns, by modality.

    Raises BindplugError: as the reader of its kind does."""
    place, split = split_of(data)
    path = Path(place)
    if split and kind not in layouts.LAYOUTS:
        raise BindplugError(f"{data}: only layouts of data sets have splits; leave out #{split}")
    if kind in ("csv", "jsonl"):
        return table_rows(path, modalities, bad, names)
    if kind in layouts.LAYOUTS:
        return layouts.LAYOUTS[kind](path, split, bad)
    if kind == "webdataset":
        raise BindplugError(f"{data}: shards are for --train-data; give a table or a folder here")
    if not path.is_dir():
        raise BindplugError(f"{place}: no such folder")
    return video_rows(path) if kind == "videos" else folder_rows(path, modalities, bad)


def read_sources(
    data: tuple[str, ...], kind: str, modalities: list[str], bad: Bad,
    names: dict[str, str] | None = None,
) -> list[Source]:  # fmt: skip
    """The sources of all data together; see `read_rows` and `make_sources`."""
    out = []
    for place in data:
        rows = read_rows(place, kind_of(place, kind), modalities, bad, names)
        if not rows and bad.messages:
            raise BindplugError(f"{place}: {bad.summary('of its rows')}, and none is left")
        out += make_sources(rows, place, modalities, bad)
    return out
