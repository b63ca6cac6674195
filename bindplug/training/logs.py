"""What a run writes while it goes on: log.csv, figures.csv, TensorBoard's events."""

from __future__ import annotations

import csv
from pathlib import Path

from ..errors import MissingDependency


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
            _cut(folder / name, step)
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as err:
                raise MissingDependency(
                    "--report-to tensorboard: it is not installed; run: pip install "
                    "'bindplug[train]'"
                ) from err
            self.events = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def loss(self, step: int, loss: float, lr: float, every: int) -> None:
        """Note a step's loss; each `every` steps a line with their mean."""
        self.sum, self.count = self.sum + loss, self.count + 1
        if step % every == 0:
            mean = self.sum / self.count
            self._line("log.csv", {"step": step, "loss": f"{mean:.6f}", "lr": f"{lr:.3e}"})
            self._event("loss", mean, step)
            self._event("lr", lr, step)
            self.sum, self.count = 0.0, 0

    def figures(self, step: int, figures: dict[str, dict]) -> None:
        """Note figures, `bindplug.evaluation.metrics.top_k` each."""
        for name, figure in figures.items():
            self._line("figures.csv", {"step": step, "figure": name, **figure})
            if figure["value"] is not None:
                self._event(name.replace(" ", "_"), figure["value"], step)

    def close(self) -> None:
        if self.events:
            self.events.close()

    def _event(self, name: str, value: float, step: int) -> None:
        if self.events:
            self.events.add_scalar(name, value, step)

    def _line(self, name: str, cells: dict) -> None:
        path = self.folder / name
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, cells)
            if is_new:
                writer.writeheader()
            writer.writerow(cells)


def _cut(path: Path, step: int) -> None:
    """Drop the lines of steps after `step`."""
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = [*csv.reader(file)] or [[]]
        kept = [r for r in rows if r and r[0].isdigit() and int(r[0]) <= step]
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *kept])
