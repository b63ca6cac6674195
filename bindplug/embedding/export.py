"""An index as a folder that pandas, Hugging Face datasets, LanceDB and pyarrow read."""

import json
from importlib.util import find_spec
from pathlib import Path

from ..errors import BindplugError, MissingDependency
from ..storage.arrow import file_columns, write_parquet
from ..storage.atomic import check_target, writing
from .index import Index

FILE = "vectors.parquet"
BLOCK = 8192  # rows of a row group
PANDAS = "PANDAS_ATTRS"  # from where pandas fills a frame's `attrs`


def check_export(folder: str | Path, overwrite: bool) -> Path:
    """The file that `export_index` will write; its folder is made.

    Raises BindplugError: as there, before the work."""
    folder = Path(folder)
    if not find_spec("pyarrow"):
        raise MissingDependency(f"{folder}: parquet needs pyarrow; run: pip install pyarrow")
    path = check_target(folder / FILE, overwrite)
    if others := sorted(p.name for p in folder.glob("*.parquet") if p.name != FILE):
        raise BindplugError(
            f"{folder}: holds {others[0]}, which would be read with the vectors; choose another "
            "folder"
        )
    return path


def export_index(index: Index, folder: str | Path, overwrite: bool = False) -> Path:
    """Write an index as FOLDER/vectors.parquet.

    The columns are `path`, `label` (the file's name without ending), `modality` and `vector`, a
    fixed-size list of D float32 that is a unit row. The schema's metadata has the `space`, the
    `modality` and the `fingerprint` of the network ("" where it is unknown).

    Returns:
        The file.

    Raises FileExists: it exists and `overwrite` is False; BindplugError: the folder holds other
    parquet files or cannot be written; MissingDependency: pyarrow is not installed."""
    path = check_export(folder, overwrite)
    metadata = {k: getattr(index, k) for k in ("space", "modality", "fingerprint")}
    columns = {**file_columns(index.paths), "modality": [index.modality] * len(index)}
    blocks = (index.vectors[start : start + BLOCK] for start in range(0, len(index), BLOCK))
    metadata[PANDAS] = json.dumps(metadata)
    with writing(path) as file:
        write_parquet(file, blocks, index.vectors.shape[1], columns, metadata)
    return path
