"""What a run writes while it goes on: log.csv, figures.csv, TensorBoard's events."""

from __future__ import annotations

import csv
from pathlib import Path

from ..errors import MissingDependency
from ..storage.atomic import explain, write_file
from ..storage.text_file import read_text

TENSORBOARD = "tensorboard"  # the folder of its events


class Logs:
    """The logs of a run. After a resumption, lines of steps that are taken again are dropped.

    Args:
        folder: of the run.
        step: the next one; later lines are of a run that was cut off.
        tensorboard: write its events too.

    Raises MissingDependency: TensorBoard is asked for and not installed."""

    def __init__(self, folder: Path, step: int = 0, tensorboard: bool = False):
        self.folder, self.events = folder, None
        self.sum, self.count = 0.0, 0
        for name in ("log.csv", "figures.csv"):
            cut_rows(folder / name, step)
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as err:
                raise MissingDependency(
                    "--report-to tensorboard: it is not installed; run: pip install "
                    "'bindplug[train]'"
                ) from err
            self.events = SummaryWriter(str(folder / TENSORBOARD), purge_step=step)

    def loss(self, step: int, loss: float, lr: float, is_due: bool) -> None:
        """Note a step's loss; where a line is due, write one with the mean since the last."""
        self.sum, self.count = self.sum + loss, self.count + 1
        if is_due:
            mean = self.sum / self.count
            cells = {"step": step, "loss": f"{mean:.6f}", "lr": f"{lr:.3e}"}
            append_row(self.folder / "log.csv", cells)
            self._event("loss", mean, step)
            self._event("lr", lr, step)
            self.sum, self.count = 0.0, 0

    def figures(self, step: int, figures: dict[str, dict]) -> None:
        """Note figures, `bindplug.evaluation.metrics.top_k` each."""
        for name, figure in figures.items():
            append_row(self.folder / "figures.csv", {"step": step, "figure": name, **figure})
            if figure["value"] is not None:
                self._event(name.replace(" ", "_"), figure["value"], step)

    def close(self) -> None:
        if self.events:
            self.events.close()

    def _event(self, name: str, value: float, step: int) -> None:
        if self.events:
            self.events.add_scalar(name, value, step)


def append_row(path: Path, cells: dict) -> None:
    """Append a line to a CSV, which begins with the names of the cells."""
    is_new = not path.exists()
    with explain(path), path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, cells)
        if is_new:
            writer.writeheader()
        writer.writerow(cells)


def cut_rows(path: Path, step: int) -> None:
    """Drop the lines of steps after `step` from a CSV whose first column is the step; a file that
    is not there stays so."""
    if not path.exists():
        return
    lines = read_text(path).splitlines()
    kept = [
        line for line in lines[1:]
        if (number := line.partition(",")[0]).isdigit() and int(number) <= step
    ]  # fmt: skip
    if not kept:
        path.unlink()  # its first line may have been cut off too
        return
    text = "".join(f"{line}\r\n" for line in [*lines[:1], *kept])
    write_file(path, lambda file: file.write(text.encode()))
