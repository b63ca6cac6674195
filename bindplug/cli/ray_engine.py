"""`--engine ray` of the commands that work through many files."""

import sys

import click

from ..errors import BindplugError
from .options import options, refuse_given
from .output import Failures, say

engine_options = options(
    click.option("--engine", type=click.Choice(["local", "ray"]), default="local",
                 show_default=True, help="ray: a process for each GPU or CPU, here or on the "
                 "cluster of RAY_ADDRESS; -o is then a folder of parquet files, or x.lance."),
    click.option("--actors", type=click.IntRange(1), metavar="N",
                 help="Processes of --engine ray; by default one per GPU, or without GPUs one per "
                 "CPU."),
)  # fmt: skip


def on_ray(engine: str, refused: set[str]) -> bool:
    """Whether a command runs on Ray. Raises BindplugError: an option that its engine has no use
    for."""
    if engine == "ray":
        refuse_given("--engine ray writes one table, with errors as a column", refused)
    else:
        refuse_given("only --engine ray has actors", {"actors"})
    return engine == "ray"


def parquet_list(path: str | None, modality: str | None):
    """The list in a .parquet; None for another path or none."""
    if path is None or not path.endswith(".parquet"):
        return None
    from ..ray.cluster import need_ray
    from ..ray.inputs import ParquetList

    need_ray()
    return ParquetList(path, modality)


def show_progress() -> bool:
    return sys.stderr.isatty()


def tell(report, output: str) -> None:
    """Say what became of a job, and end the command if inputs failed."""
    failures = Failures()
    failures.add(*(BindplugError(error) for error in report.errors))
    if more := report.failed - len(report.errors):
        say(f"and {more} more: see the column `error`")
    done = " was there already" if report.was_done else ""
    say(f"{report.rows} of {report.rows + report.failed} -> {output}{done}")
    failures.finish()
