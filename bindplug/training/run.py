"""A run of `bindplug train`: settings to a folder with logs, a checkpoint and an embedder."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..device import pick_device
from ..errors import BindplugError, FileExists
from ..storage.atomic import make_folder, refuse_existing, write_file, write_json, writing
from ..storage.locks import locked
from ..storage.state_dict import read_state
from .batches import Batch, Reader, plan_batches
from .export import export
from .gradients import backward
from .logs import TENSORBOARD, Logs
from .loop import Loop, OtherRun, Run
from .losses import positives_of
from .prepare import Setup, differences, prepare
from .processes import Processes, end_processes, start_processes
from .settings import Settings, folder_of, read_settings, to_toml

log = logging.getLogger("bindplug")
CHECKPOINT, BEST, MODEL, REPORT = "checkpoint.pt", "best.safetensors", "model", "report.json"
SETTINGS = "settings.toml"


def train(
    settings: Settings, device: str = "auto", resume: bool = False, overwrite: bool = False,
    command: str = "",
) -> list[dict]:  # fmt: skip
    """Train, log, and export an embedder; once for each of the settings' seeds.

    In the run's folder: `settings.toml`, `log.csv`, `figures.csv`, `checkpoint.pt`, `report.json`,
    and `model/`, which `load_embedder("local:...")` takes.

    Args:
        resume: go on from the checkpoint where there is one.
        overwrite: begin anew where there is one.
        command: that was called, for the model card.

    Returns:
        A report of each seed: its folder, steps, loss and last figures.

    Raises BindplugError: bad settings or data; a loss that is not finite (its step's inputs are
    named)."""
    processes, device = start_processes(pick_device(device))
    try:
        seeds = settings.seeds or (settings.seed,)
        many = len(settings.seeds) > 0
        runs = [
            replace(settings, seed=seed, seeds=(),
                    name=f"{settings.name}/seed-{seed}" if many else settings.name)
            for seed in seeds
        ]  # fmt: skip
        return [_train(run, device, resume, overwrite, command, processes) for run in runs]
    finally:
        end_processes()


def _train(
    settings: Settings, device: str, resume: bool, overwrite: bool, command: str,
    processes: Processes,
) -> dict:  # fmt: skip
    folder = folder_of(settings)
    if not processes.is_first:
        return Training(settings, device, processes, resume).run(command)
    make_folder(folder)
    with locked(folder):
        checkpoint = folder / CHECKPOINT
        if not checkpoint.exists():
            refuse_existing([folder / REPORT, folder / MODEL], overwrite)
        elif not (resume or overwrite):
            raise FileExists(f"{checkpoint}: exists; go on with --resume latest")
        training = Training(settings, device, processes, resume)  # before anything is removed
        if not resume:
            for name in (CHECKPOINT, BEST, REPORT, "log.csv", "figures.csv"):
                (folder / name).unlink(missing_ok=True)
            for name in (MODEL, TENSORBOARD):
                shutil.rmtree(folder / name, ignore_errors=True)
        text = to_toml(settings).encode("utf-8", "surrogateescape")
        write_file(folder / SETTINGS, lambda f: f.write(text))
        return training.run(command)


class Training:
    """One run of one seed."""

    def __init__(self, settings: Settings, device: str, processes: Processes, resume: bool):
        self.settings, self.device, self.processes = settings, device, processes
        self.folder = folder_of(settings)
        self.setup: Setup = prepare(settings, device, processes)
        self.epoch_steps = (self.setup.plan or self.setup.stream).epoch_steps
        total = settings.steps or max(1, math.ceil(settings.epochs * self.epoch_steps))
        self.loop = Loop(
            self.setup.binder, self._run_settings(total), f"{self.setup.key} {total}",
            processes.is_first,
        )  # fmt: skip
        if resume:
            self._resume()
            self.setup.bad.recall(self.loop.notes.get("left out", ()))
        self.validate_every = max(1, round(settings.val_frequency * self.epoch_steps))
        self.logs: Logs | None = None
        self.last: Batch | None = None
        if settings.early_stop_on and self.setup.validation and not self.loop.step:
            self._check_figure(self.setup.validation.figures())

    def _resume(self) -> None:
        """Raises OtherRun: the checkpoint's settings or data are others; they are named."""
        try:
            self.loop.resume()
        except OtherRun as err:
            try:
                before = read_settings({}, str(self.folder / SETTINGS))
                changes = ", ".join(differences(before, self.settings))
            except BindplugError:  # absent, or of another version
                changes = ""
            others = "not in settings.toml: the data, a model, or the number of processes"
            raise OtherRun(self.loop.checkpoint, changes or others) from err

    def _run_settings(self, steps: int) -> Run:
        s = self.settings
        warmup = round(s.warmup_epochs * self.epoch_steps) if s.warmup_epochs else s.warmup
        return Run(
            self.folder, steps, lr=s.lr, muon_lr=(s.muon_lr or s.lr) if s.opt == "muon" else None,
            weight_decay=s.wd, warmup=min(warmup, steps), ema=s.ema, clip=s.grad_clip_norm,
            seed=s.seed, save_seconds=s.save_seconds, betas=(s.beta1, s.beta2), eps=s.eps,
            floor=1.0 if s.lr_scheduler == "const" else s.lr_cooldown_end,
        )  # fmt: skip

    def run(self, command: str) -> dict:
        """Take the steps that are left, export, and report."""
        began, batches = time.monotonic(), self._batches()
        if self.processes.is_first:
            tensorboard = self.settings.report_to == "tensorboard"
            self.logs = Logs(self.folder, self.loop.step, tensorboard)
        left_out = {"of the training data": self.setup.bad}
        if self.setup.validation:
            left_out["of the validation data"] = self.setup.validation.bad
        before = {what: len(bad.messages) for what, bad in left_out.items()}
        for what, bad in left_out.items():
            if summary := bad.summary(what):
                log.warning("%s", summary)
        if not self.loop.notes.get("stopped"):
            self.loop.steps(lambda step, _: self._backward(step, next(batches)), self._after,
                            self.settings.name)  # fmt: skip
        batches.close()
        self.loop.finish()
        best = self.folder / BEST
        if self.settings.early_stop and best.exists():
            self.loop.load_state(read_state(best), best)
        notes = self.loop.notes
        report = {
            "folder": str(self.folder), "steps": self.loop.step,
            "exported step": notes.get("best step", self.loop.step),
            "seed": self.settings.seed, "loss": notes.get("loss"),
            "figures": notes.get("figures", {}),
            "left out": len(self.setup.bad.messages),
        }  # fmt: skip
        if self.processes.is_first:
            self.logs.close()
            if self.setup.validation:
                report["validation left out"] = len(self.setup.validation.bad.messages)
            for what, bad in left_out.items():
                if late := bad.messages[before[what] :]:
                    log.warning("%d more %s could not be used; the first: %s", len(late), what,
                                late[0])  # fmt: skip
            space = export(self.folder / MODEL, self.settings, self.setup, report, command)
            report |= {"model": str(self.folder / MODEL), "space": space}
            write_json(self.folder / REPORT, report)
            log.info("%d steps in %.0f s", self.loop.step, time.monotonic() - began)
        self.processes.wait()
        return report

    def _batches(self) -> Iterator[Batch]:
        setup, step = self.setup, self.loop.step
        if setup.stream:
            position = self.loop.notes.get("positions", {}).get(str(self.processes.rank), 0)
            return setup.stream.batches(setup.loader, position)
        reader = Reader(setup.loader, setup.features, setup.bad, setup.ids)
        steps = range(step, self.loop.run.steps)
        return plan_batches(setup.plan, reader, steps, self.processes, self.settings.workers)

    def _backward(self, step: int, batch: Batch) -> float:
        setup, self.last = self.setup, batch
        ids = batch.ids
        if ids is not None:
            ids = self.processes.gather(ids.to(self.device))
        positives = None if ids is None else positives_of(ids)
        inputs = {m: x.to(self.device, non_blocking=True) for m, x in batch.inputs.items()}

        def loss_of(embeddings: dict[str, Tensor]) -> Tensor:
            loss = setup.binder.loss(embeddings, positives)
            if not torch.isfinite(loss):
                raise BindplugError(self._not_finite(step, loss.item(), embeddings, batch))
            return loss

        cached = set(setup.features)
        loss, _ = backward(
            lambda part: setup.binder.embed(part, cached), inputs, loss_of,
            list(setup.binder.losses.parameters()),
            [p for n, p in self.loop.trained.items() if not n.startswith("losses.")],
            self.settings.accum_freq, self.processes, self.settings.seed * 1_000_003 + step,
        )  # fmt: skip
        return loss

    def _not_finite(self, step: int, loss: float, embeddings: dict, batch: Batch) -> str:
        """What to say of a loss that is NaN or infinite: the rows that it comes from."""
        own = self.processes.share(len(embeddings["image"]))
        broken = [
            batch.names[i] for i in range(len(batch.names))
            if any(not torch.isfinite(x[own][i]).all() for x in embeddings.values())
        ]  # fmt: skip
        names = broken or batch.names
        listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        return (
            f"step {step + 1}: the loss is {loss}; its inputs: {listed}. Lower --lr, or leave "
            "broken inputs out"
        )

    def _after(self, step: int, loss: float) -> bool:
        """Log, validate, and say whether to stop early."""
        for part in self.setup.binder.losses.values():
            part.keep_in_bounds()
        notes, settings = self.loop.notes, self.settings
        notes["loss"] = loss
        notes["left out"] = self.setup.bad.messages
        if self.setup.stream:
            notes["positions"] = self._positions()
        is_last = step + 1 == self.loop.run.steps
        if self.processes.is_first:
            lr = self.loop.optimizers[0].param_groups[0]["lr"]
            is_line = is_last or (step + 1) % settings.log_every_n_steps == 0
            self.logs.loss(step + 1, loss, lr, is_line)
        is_due = is_last or (step + 1) % self.validate_every == 0
        if not (settings.val_data and is_due):
            return False
        stop = False
        if self.processes.is_first:
            stop = self._validate(step + 1)
        stop = self.processes.agree(stop)
        notes["stopped"] = stop
        return stop

    def _positions(self) -> dict[str, int]:
        """Of every process's stream."""
        own = torch.tensor([self.last.position], device=self.device)
        return {str(i): int(p) for i, p in enumerate(self.processes.gather(own))}

    def _validate(self, step: int) -> bool:
        """Log figures of the averaged weights; True where they got no better for too long."""
        self.loop.swap()
        figures = self.setup.validation.figures()
        notes, settings = self.loop.notes, self.settings
        self.logs.figures(step, figures)
        if settings.early_stop_on:
            self._check_figure(figures)
        name = settings.early_stop_on or next(iter(figures), "")
        value = figures[name]["value"] if name else None
        is_best = value is not None and value > notes.get("best", -1.0)
        if is_best or not settings.early_stop or "figures" not in notes:
            notes["figures"] = figures  # of the weights that will be exported
        if settings.early_stop and is_best:
            notes |= {"best": value, "best step": step, "waited": 0}
            self._save_best()
        elif settings.early_stop and value is not None:
            notes["waited"] = notes.get("waited", 0) + 1
        self.loop.swap()
        known = [(n, f["value"]) for n, f in figures.items() if f["value"] is not None]
        shown = ", ".join(f"{name} {value:.3f}" for name, value in known[:3])
        log.info("step %d: %s", step, shown)
        return bool(settings.early_stop) and notes.get("waited", 0) >= settings.early_stop

    def _check_figure(self, figures: dict[str, dict]) -> None:
        """Raises BindplugError: the figure of --early-stop-on does not exist."""
        if self.settings.early_stop_on not in figures:
            raise BindplugError(
                f"--early-stop-on {self.settings.early_stop_on!r}: no such figure; there are "
                f"{', '.join(figures)}"
            )

    def _save_best(self) -> None:
        from safetensors.torch import save_file

        state = {n: x.detach().cpu().contiguous().clone() for n, x in self.loop.state().items()}
        with writing(self.folder / BEST) as file:
            save_file(state, file.name)
