"""The inputs of a job: pairs in memory, or a parquet file that is read piece by piece."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..embedding.inputs import modality_by_ending
from ..embedding.modalities import MODALITIES
from ..errors import BindplugError, check_choice
from ..storage.arrow import printable
from ..storage.atomic import reason, writing

ROWS = 8192  # that are held at a time
COLUMNS = ("path", "label")  # of a list, the first that is there


class ParquetList:
    """(modality, value) pairs of a parquet file or folder, as often as they are asked for.

    Args:
        path: it has a column `path`, or `label` as jobs write it, and may have `modality`.
        modality: of rows that do not say theirs; None goes by the ending.

    Raises BindplugError: no parquet, without such a column, or, while it is read, a row without a
    path or of an unknown modality."""

    def __init__(self, path: str | os.PathLike, modality: str | None = None):
        import pyarrow.dataset as ds

        self.path, self.modality = Path(path), modality
        try:
            self._rows = ds.dataset(self.path, format="parquet")
        except (OSError, ValueError) as err:  # pyarrow's errors are of these kinds
            raise BindplugError(f"{path}: cannot be read as parquet ({reason(err)})") from err
        names = self._rows.schema.names
        self._column = next((name for name in COLUMNS if name in names), None)
        if self._column is None:
            raise BindplugError(f"{path}: has no column `path`; it has {', '.join(names)}")
        self._columns = [self._column] + ["modality"] * ("modality" in names)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for rows in self._batches():
            for row in rows:
                value, modality = row[self._column], row.get("modality") or self.modality
                if not isinstance(value, str):
                    raise BindplugError(
                        f"{self.path}: a row's {self._column} is {value!r}; give text"
                    )
                if modality is not None:
                    check_choice("modality", modality, MODALITIES)
                yield modality or modality_by_ending(value), value

    def _batches(self) -> Iterator[list[dict]]:
        try:
            for batch in self._rows.to_batches(columns=self._columns, batch_size=ROWS):
                yield batch.to_pylist()
        except (OSError, ValueError) as err:  # pyarrow's errors are of these kinds
            raise BindplugError(f"{self.path}: cannot be read further ({reason(err)})") from err


def open_inputs(given, modality: str | None = None) -> Iterable[tuple[str, str]]:
    """(modality, value) pairs that can be iterated over more than once.

    Args:
        given: the path of a parquet list (`ParquetList`), or an iterable of pairs or, with a
            `modality`, of paths.
    """
    if isinstance(given, (str, os.PathLike)):
        return ParquetList(given, modality)
    if isinstance(given, ParquetList):
        return given
    return [(modality, os.fspath(i)) if isinstance(i, (str, os.PathLike)) else i for i in given]


def write_inputs(path: Path, items: Iterable[tuple[str, str]]) -> None:
    """Write pairs as a parquet of `index` (int64, their place), `modality` and `value` (bytes,
    since names of files need not be Unicode)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("index", pa.int64()), ("modality", pa.string()), ("value", pa.binary())])
    with writing(path) as file, pq.ParquetWriter(file, schema) as writer:
        for start, rows in _pieces(items):
            modalities, values = zip(*rows, strict=True)
            values = [value.encode("utf-8", "surrogatepass") for value in values]
            index = pa.array(range(start, start + len(rows)), pa.int64())
            columns = [index, pa.array(modalities, pa.string()), pa.array(values, pa.binary())]
            writer.write_table(pa.table(columns, schema=schema))


def _pieces(items: Iterable) -> Iterator[tuple[int, list]]:
    start, rows = 0, []
    for item in items:
        rows.append(item)
        if len(rows) == ROWS:
            yield start, rows
            start, rows = start + ROWS, []
    if rows:
        yield start, rows


def read_items(table) -> list[tuple[str, str]]:
    """The pairs of a pyarrow Table that `write_inputs` wrote."""
    values = [value.decode("utf-8", "surrogatepass") for value in table["value"].to_pylist()]
    return list(zip(table["modality"].to_pylist(), values, strict=True))


def text_column(values: Iterable[str]):
    """A pyarrow string array (`printable`)."""
    import pyarrow as pa

    return pa.array(map(printable, values), pa.string())
