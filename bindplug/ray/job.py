"""One job: its inputs through actors into a folder of parquet files, or a Lance dataset.

While it runs, `OUTPUT.parts` holds the job's description, its inputs, the rows that are written and
Ray's checkpoint of them; the same call goes on where it stopped. Then the rows are renamed to
OUTPUT, which is there whole or not at all, with a `_bindplug.json` that says what it was made from.
"""

import json
import os
import secrets
import shutil
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..embedding.jobs import claim_parts, job_id, parts_folder, read_claim
from ..errors import BindplugError, FileExists, MissingDependency, first_line
from ..storage.atomic import make_folder, write_json
from ..storage.locks import locked
from .cluster import connected, need_ray
from .inputs import write_inputs
from .results import Rows, write_lance

DESCRIPTION = "_bindplug.json"  # in the output; readers of parquet skip names with an underscore
FILE_ENDINGS = (".safetensors", ".npy", ".csv", ".json")
RETRIES = 3  # of files at which an actor's process died, as a decoder may on a broken one
SHARES = 4  # files an actor, at least, so that none is left without work for long
SHOWN = 10  # errors in a report; the rows hold all


@dataclass(frozen=True)
class Report:
    """What became of a job.

    Attributes:
        rows: with a result.
        failed: rows with an `error` in place of one.
        errors: the first of their errors.
        was_done: the output was there already, made from the same inputs, models and settings.
    """

    rows: int
    failed: int
    errors: tuple[str, ...]
    was_done: bool = False


@dataclass(frozen=True)
class Work:
    """What a job's actors do.

    Attributes:
        actor: class that is called with a pyarrow Table of inputs (`inputs.write_inputs`) and
            returns one of as many rows, with their `index` and an `error`.
        arguments: of its constructor, which also gets `device` and `folder`, the caller's, in which
            relative paths are looked for.
        result: the column that is null where there is an `error`.
        settings: all that decides the rows beside the inputs and the weights; JSON data.
        fingerprints: of the models; "" is unknown, None no model.
        rows_per_file: of a file of the output; what a kill loses at most, for each actor.
    """

    actor: type
    arguments: dict
    result: str
    settings: dict
    fingerprints: list[str | None]
    rows_per_file: int


@dataclass(frozen=True)
class Engine:
    """How a job runs; none of it changes its rows.

    Attributes:
        actors: processes that work, each with its own model; None is one a GPU, or one a CPU.
        device: of each: auto, cpu, cuda or mps.
        progress: show Ray's progress bars.
    """

    actors: int | None = None
    device: str = "auto"
    progress: bool = False


def run_job(
    work: Work,
    items: Iterable[tuple[str, str]],
    output: str | Path,
    engine: Engine,
    overwrite: bool = False,
) -> Report:
    """Do the work on all items that are not done.

    Another process of this machine that asks for the same output waits until this one is done.

    Args:
        items: (modality, value) pairs, iterated over twice.
        output: a folder to be made; one that ends in .lance becomes a Lance dataset.

    Raises BindplugError: no item; an output that holds something else; no item that can be used; no
    room for the actors. MissingDependency: Ray, or Lance, is not installed."""
    need_ray()
    output = check_output(output)
    make_folder(output.parent)
    with locked(output):
        return _run_job(work, items, output, engine, overwrite)


def check_output(output: str | Path) -> Path:
    """The absolute path of an output. Raises BindplugError: one that no job can write;
    MissingDependency: a .lance, without Lance."""
    if "://" in str(output):
        raise BindplugError(f"{output}: give a folder; on a cluster, one that all machines share")
    path = Path(os.path.realpath(output))  # a link is followed
    if (path.suffix == ".lance") != (Path(output).suffix == ".lance"):
        raise BindplugError(f"{output}: is a link to {path}; name that one")
    if path.suffix in FILE_ENDINGS or path.is_file():
        raise BindplugError(
            f"{output}: Ray writes a folder of parquet files, or a Lance dataset; name a folder, "
            "as vectors.parquet or vectors.lance"
        )
    if path.suffix == ".lance":
        try:
            import lance  # noqa: F401
        except ImportError as err:
            raise MissingDependency(f"{output}: needs Lance; run: pip install pylance") from err
    return path


def _run_job(work: Work, items, output: Path, engine: Engine, overwrite: bool) -> Report:
    # Weights that are not known are never the same.
    unknown = secrets.token_hex(8) if "" in work.fingerprints else ""
    decides = [work.settings, work.fingerprints, unknown]
    job, parts = job_id(items, json.dumps(decides, sort_keys=True)), parts_folder(output)
    claim, was = read_claim(parts, job), _description(output)
    if was.get("job") == job and (claim.get("done") or not overwrite):
        shutil.rmtree(parts, ignore_errors=True)
        return Report(was["rows"], was["failed"], tuple(was["errors"]), True)
    if was and not (overwrite or claim.get("overwrite")):
        raise FileExists(f"{output}: exists, made from other inputs, models or settings")
    claim = claim_parts(parts, {"id": job}, overwrite)
    inputs, rows = parts / "inputs.parquet", make_folder(parts / "rows")
    if not inputs.exists():
        write_inputs(inputs, items)
    count = _count(inputs)
    if not count:
        shutil.rmtree(parts)
        raise BindplugError("no input to work on")
    _work_off(work, inputs, count, rows, parts / "checkpoint", engine)
    done = Rows.read(rows, work.result)
    done.check(count)
    report = Report(count - len(done.errors), len(done.errors), done.first_errors(SHOWN))
    if not report.rows:
        shutil.rmtree(parts)
        raise BindplugError(report.errors[0])
    done.finish()
    whole = write_lance(done.files, parts / "lance") if output.suffix == ".lance" else rows
    metadata = {"rows": report.rows, "failed": report.failed, "errors": report.errors}
    write_json(
        whole / DESCRIPTION,
        {"schema": 1, "job": job, **metadata, **work.settings, "fingerprints": work.fingerprints},
    )
    write_json(parts / "job.json", {**claim, "done": True})
    if output.exists():
        os.replace(output, parts / "replaced")
    os.replace(whole, output)
    shutil.rmtree(parts)
    return report


def _description(output: Path) -> dict:
    """What an output says of itself; {} where there is none. BindplugError for a folder that is no
    job's: it is not ours to replace."""
    if not output.exists() or not any(output.iterdir()):
        return {}
    try:
        was = json.loads((output / DESCRIPTION).read_text())
    except (OSError, ValueError):
        was = None
    if not isinstance(was, dict) or not {"job", "rows", "failed", "errors"} <= set(was):
        raise BindplugError(f"{output}: holds other files; choose another --output")
    return was


def _count(inputs: Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(inputs).num_rows


def _work_off(work: Work, inputs: Path, count: int, rows: Path, checkpoint: Path, engine: Engine):
    """Run Ray Data on the inputs that are not in the checkpoint."""
    import ray.data
    from ray.data.checkpoint import CheckpointConfig

    with connected(engine.actors, engine.device) as pool:
        context = ray.data.DataContext.get_current()
        before = context.checkpoint_config, context.enable_progress_bars
        context.enable_progress_bars = engine.progress
        # Ray filters by it only what `read_parquet` reads; the ids are numbers, which take 8 bytes.
        context.checkpoint_config = CheckpointConfig(
            "index", str(checkpoint), delete_checkpoint_on_success=False
        )
        size = max(1, min(work.rows_per_file, -(-count // (SHARES * pool.size))))
        arguments = {**work.arguments, "device": pool.device, "folder": os.getcwd()}
        dataset = ray.data.read_parquet(str(inputs))
        dataset = dataset.repartition(target_num_rows_per_block=size)  # else one block for all
        try:
            with warnings.catch_warnings():
                # Without `max_task_retries` a file that kills its reader would be read for ever.
                warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
                dataset = dataset.map_batches(
                    work.actor, fn_constructor_kwargs=arguments, batch_size=size,
                    batch_format="pyarrow", compute=ray.data.ActorPoolStrategy(size=pool.size),
                    num_cpus=1, num_gpus=pool.gpus, max_task_retries=RETRIES,
                )  # fmt: skip
            dataset.write_parquet(str(rows), mode=ray.data.SaveMode.APPEND)
        except Exception as err:
            raise _in_one_line(err) from err
        finally:
            context.checkpoint_config, context.enable_progress_bars = before


def _in_one_line(err: Exception) -> BindplugError:
    """What ended a job: bindplug's own error that an actor raised, else the innermost."""
    chain = [err]
    while isinstance(inner := getattr(chain[-1], "cause", None) or chain[-1].__cause__, Exception):
        chain.append(inner)
    for each in chain:
        if isinstance(each, BindplugError):
            return each
        # Of an error in an actor's constructor Ray keeps the traceback's text alone.
        _, own, message = str(each).strip().rpartition(f"\n{BindplugError.__module__}.")
        if own:
            return BindplugError(message.partition(": ")[2])
    known = [each for each in chain if str(each) and type(each).__name__ != "SystemException"]
    last = known[-1] if known else err
    text = str(last).strip().splitlines()[-1] if "Died" in type(last).__name__ else first_line(last)
    return BindplugError(
        f"a worker failed ({type(last).__name__}: {text}); what is done is kept, and the same call "
        "continues from there"
    )
