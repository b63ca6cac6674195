"""Embeddings of any number of inputs: `index`, `modality`, `label`, `vector`, `error`."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..defaults import EMBEDDER
from ..embedding.jobs import stream_items
from ..embedding.modalities import MODALITIES, options_of
from ..errors import BindplugError, check_choice
from .actor import check_models, enter, error_text
from .inputs import ParquetList, open_inputs, read_items, text_column
from .job import Engine, Report, Work, run_job

ROWS_PER_FILE = 1024


class EmbedActor:
    """An embedder in a process of its own.

    Args:
        model, settings: for `load_embedder`.
        expected: the fingerprint that it must have, as a list.
        options: as in `embed`.
    """

    def __init__(self, model: str, settings: dict, expected: list, options: dict, device, folder):
        from ..models.load import load_embedder

        enter(folder)
        self.embedder, self.options = load_embedder(model, device, **settings), options
        check_models(expected, [self.embedder.fingerprint])

    def __call__(self, inputs):
        return embed_table(self.embedder, inputs, self.options)


def embed_table(embedder, inputs, options: dict):
    """A pyarrow Table of inputs (`inputs.write_inputs`) to one of `index`, `modality`, `label`,
    `vector` (a fixed-size list of float32; null where there is an error) and `error`."""
    import pyarrow as pa

    items = read_items(inputs)
    rows = list(stream_items(embedder, items, options))
    failed = np.array([row.error is not None for row in rows])
    if failed.all():
        vectors = pa.nulls(len(rows))
    else:
        good = np.concatenate([row.vectors for row in rows if row.error is None])
        whole = np.zeros((len(rows), good.shape[1]), np.float32)
        whole[~failed] = good
        flat = pa.array(whole.reshape(-1))
        vectors = pa.FixedSizeListArray.from_arrays(flat, good.shape[1], mask=pa.array(failed))
    errors = pa.array([error_text(row.error) for row in rows], pa.string())
    columns = {
        "index": inputs["index"], "modality": inputs["modality"],
        "label": text_column(value for _, value in items), "vector": vectors, "error": errors,
    }  # fmt: skip
    return pa.table(columns)


def embed(
    items: Iterable[tuple[str, str]] | str | os.PathLike | ParquetList,
    output: str | Path,
    model: str = EMBEDDER,
    *,
    options: dict | None = None,
    actors: int | None = None,
    device: str = "auto",
    rows_per_file: int = ROWS_PER_FILE,
    overwrite: bool = False,
    progress: bool = False,
    **settings,
) -> Report:
    """Embed any number of inputs; interrupted, the same call continues.

    Args:
        items: (modality, value) pairs, or a parquet file with a column `path` and, where endings
            do not say it, `modality`.
        output: a folder that becomes parquet files, or with the ending .lance a Lance dataset. Its
            columns are `index` (the place among the items), `modality`, `label`, `vector` (D
            float32, a unit row; null where there is an error) and `error`.
        options: of the modalities, as in `Embedder.embed`; each goes to those that have it.
        actors, device, progress: as in `job.Engine`.
        rows_per_file: at most, of the output; what a kill loses at most for each actor.
        settings: of `load_embedder`, without `cache`.

    Raises BindplugError: an unknown model, modality or option, or as in `job.run_job`."""
    from ..models.load import load_embedder

    if settings.get("cache") is not None:
        raise BindplugError("a cache of embeddings is for one process; leave out `cache`")
    options, items = options or {}, open_inputs(items)
    here = {name: value for name, value in settings.items() if name != "compile"}
    embedder = load_embedder(model, "cpu", **here)  # this process only asks it
    for modality in sorted({modality for modality, _ in items}):
        check_choice("modality", modality, MODALITIES)
        list(embedder.stream(modality, [], **options_of(modality, options)))
    expected = [embedder.fingerprint]
    decides = {"action": "embed", "space": embedder.space, "model": model, "options": options}
    arguments = {"model": model, "settings": settings, "expected": expected, "options": options}
    work = Work(EmbedActor, arguments, "vector", decides, expected, rows_per_file)
    del embedder
    if model.startswith("onnx:") and device == "auto":
        device = "cpu"  # also where there are GPUs
    return run_job(work, items, output, Engine(actors, device, progress), overwrite)
