"""The rows that a job has written: complete, of one schema, under names in order."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import BindplugError
from ..storage.atomic import writing

BLOCK = 1024  # rows that are copied at a time


@dataclass(frozen=True)
class Rows:
    """Parquet files of a folder, in the order of their first rows.

    Attributes:
        folder: theirs.
        result: name of the column that failed rows leave null.
        index: (N,) int64 of all rows, file by file.
        errors: by index.
    """

    folder: Path
    files: list[Path]
    result: str
    index: np.ndarray
    errors: dict[int, str]

    @classmethod
    def read(cls, folder: Path, result: str) -> "Rows":
        """Read `index` and `error`, which is little of the whole."""
        import pyarrow.parquet as pq

        found, errors = [], {}
        for path in folder.glob("*.parquet"):
            table = pq.read_table(path, columns=["index", "error"])
            index = table["index"].to_numpy()
            failed = np.flatnonzero(np.asarray(table["error"].is_valid()))
            errors |= {int(index[i]): table["error"][i].as_py() for i in failed}
            found.append((int(index.min()), path, index))
        found.sort(key=lambda each: each[0])
        files, parts = [path for _, path, _ in found], [index for *_, index in found]
        return cls(folder, files, result, np.concatenate([*parts, np.zeros(0, np.int64)]), errors)

    def check(self, count: int) -> None:
        """BindplugError unless there is each of `count` rows once."""
        distinct = np.unique(self.index)
        if len(self.index) == count and np.array_equal(distinct, np.arange(count)):
            return
        raise BindplugError(
            f"of {count} rows {count - len(distinct)} are missing and "
            f"{len(self.index) - len(distinct)} duplicated: another process wrote to {self.folder} "
            "too; delete it and run the job again"
        )

    def first_errors(self, count: int) -> tuple[str, ...]:
        return tuple(self.errors[i] for i in sorted(self.errors)[:count])

    def finish(self) -> None:
        """Give all files one schema, and names in order; once more after an interruption."""
        self._type_failed()
        for i, path in enumerate(self.files):
            os.replace(path, path := path.with_name(f"part-{i:06d}.parquet"))
            self.files[i] = path

    def _type_failed(self) -> None:
        """Where all rows of a file failed, the type of their results was not known."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schemas = {path: pq.read_schema(path) for path in self.files}
        untyped = [p for p, s in schemas.items() if pa.types.is_null(s.field(self.result).type)]
        schema = next((s for path, s in schemas.items() if path not in untyped), None)
        for path in untyped if schema else ():
            table = pq.read_table(path).cast(schema)
            with writing(path) as file:
                pq.write_table(table, file)


def write_lance(files: Sequence[Path], folder: Path) -> Path:
    """Copy parquet files to a Lance dataset, rows in the order of the files; its folder."""
    import lance
    import pyarrow as pa
    import pyarrow.parquet as pq

    def batches():
        for path in files:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(BLOCK)

    reader = pa.RecordBatchReader.from_batches(pq.read_schema(files[0]), batches())
    lance.write_dataset(reader, str(folder), mode="overwrite")
    return folder
