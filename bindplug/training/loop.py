"""A training loop that shows progress, logs a curve and resumes where it was interrupted."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch
from torch import nn

from ..errors import BindplugError, first_line
from ..storage.atomic import writing
from .logs import append_row
from .muon import Muon

log = logging.getLogger("bindplug")
BLOCKS = (".blocks.", ".resblocks.", ".layers.", ".layer.")  # in names of transformers' matrices


class OtherRun(BindplugError):
    """A checkpoint is of a run with other settings.

    Args:
        differences: which ones differ.
    """

    def __init__(self, checkpoint: Path, differences: str):
        super().__init__(
            f"{checkpoint} is of a run with other settings ({differences}); remove it, or choose "
            "another folder"
        )


@dataclass(frozen=True)
class Run:
    """Settings of one training run.

    Args:
        folder: holds `checkpoint.pt` and `curve.csv`.
        steps: optimiser steps.
        lr: peak learning rate of AdamW.
        muon_lr: that of Muon, for the matrices of transformer blocks; None trains all by AdamW.
        weight_decay: of both, for parameters of two and more axes.
        warmup: steps of linear warm-up; then the rate falls as a cosine to 3 %.
        ema: decay of the averaged weights, which are what `fit` leaves in the model; 0 keeps none,
            and leaves the last ones.
        clip: largest norm of the gradient; 0 leaves it as it is.
        seed: of each step's randomness (`step_generator`).
        save_seconds: between checkpoints.
        betas, eps: of AdamW.
        floor: share of the peak rate that the cosine ends at; 1 keeps the rate constant.
    """

    folder: Path
    steps: int
    lr: float = 2e-3
    muon_lr: float | None = 2e-3
    weight_decay: float = 0.1
    warmup: int = 60
    ema: float = 0.998
    clip: float = 1.0
    seed: int = 0
    save_seconds: float = 120.0
    betas: tuple[float, float] = field(default=(0.9, 0.98), repr=False)
    eps: float = field(default=1e-8, repr=False)
    floor: float = field(default=0.03, repr=False)

    def key(self) -> str:
        """What decides the result. Settings that came later are left out where they have their
        defaults, so that earlier checkpoints still count."""
        later = {f.name: getattr(self, f.name) for f in fields(self) if not f.repr}
        changed = {n: v for n, v in later.items() if v != getattr(Run, n)}
        text = repr(replace(self, folder=Path(), save_seconds=0.0))
        return f"{text} {changed}" if changed else text


def step_generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator that depends on seed and step only, so that a resumed run is the same run."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def _optimizers(model: nn.Module, run: Run) -> list[torch.optim.Optimizer]:
    matrices, rest = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            in_block = any(part in name for part in BLOCKS) and ".head." not in name
            in_block = run.muon_lr and p.ndim == 2 and in_block
            (matrices if in_block else rest).append(p)
    if run.muon_lr and not matrices:
        log.warning("--opt muon: no matrix of a transformer block is trained; AdamW takes all")
    decayed = [p for p in rest if p.ndim >= 2]
    others = [p for p in rest if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": run.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    out: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=run.lr, betas=run.betas, eps=run.eps)
    ]
    if matrices:
        out.append(Muon(matrices, run.muon_lr, run.weight_decay))
    for optimizer in out:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return out


def _schedule(step: int, run: Run) -> float:
    """The factor of the peak learning rate: linear warm-up, then a cosine to `run.floor`."""
    if step < run.warmup:
        return (step + 1) / run.warmup
    done = (step - run.warmup) / max(1, run.steps - run.warmup)
    return run.floor + (1 - run.floor) * (1 + math.cos(math.pi * done)) / 2


def fit(
    model: nn.Module,
    loss_of_step: Callable[[int, torch.Generator], torch.Tensor],
    run: Run,
    label: str,
) -> None:
    """Train `model` in place and leave its averaged weights in it, in evaluation mode.

    Args:
        loss_of_step: (step, generator) to a scalar loss; its randomness comes from the generator,
            or, as dropout's does, from torch's default one, which is seeded anew for each step.
        run: settings; where `run.folder` holds a checkpoint, training goes on from it.
        label: of the progress bar.

    Raises BindplugError: the checkpoint is of a run with other settings."""

    def backward(step: int, generator: torch.Generator) -> float:
        loss = loss_of_step(step, generator)
        loss.backward()
        return loss.item()

    recent: list[float] = []

    def log(step: int, loss: float) -> bool:
        recent.append(loss)
        if (step + 1) % 50 == 0:
            mean = sum(recent) / len(recent)
            append_row(run.folder / "curve.csv", {"step": step + 1, "loss": f"{mean:.4f}"})
            recent.clear()
        return False

    loop = Loop(model, run, run.key())
    loop.resume()
    loop.steps(backward, log, label)
    loop.finish()


class Loop:
    """The steps of a run, each a function of its number alone, so that a run that was stopped at
    any moment goes on to the same bits.

    Args:
        model: trained in place.
        key: of all that decides the result; a checkpoint of another key is refused.
        writes: whether this process writes the checkpoint.

    Attributes:
        step: the next one.
        notes: plain data that is saved and resumed with the weights.
    """

    def __init__(self, model: nn.Module, run: Run, key: str, writes: bool = True):
        self.model, self.run, self.key, self.writes = model, run, key, writes
        self.trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.averaged = {n: p.detach().clone() for n, p in self.trained.items() if run.ema}
        self.optimizers = _optimizers(model, run)
        self.checkpoint = run.folder / "checkpoint.pt"
        self.step, self.notes = 0, {}

    def resume(self) -> bool:
        """Go on from the checkpoint; False where there is none. Raises OtherRun: it is of a run
        with other settings; BindplugError: it is damaged."""
        if not self.checkpoint.exists():
            return False
        device = next(self.model.parameters()).device
        try:
            saved = torch.load(self.checkpoint, map_location=device, weights_only=True)
        except Exception as err:  # torch raises many kinds for a broken file
            raise BindplugError(
                f"{self.checkpoint}: cannot be read ({first_line(err)}); remove it to start anew"
            ) from err
        if saved.get("settings", self.key) != self.key:
            raise OtherRun(self.checkpoint, saved["settings"])
        self.load_state(saved["model"], self.checkpoint)
        with torch.no_grad():
            for name, average in self.averaged.items():
                average.copy_(saved["averaged"][name])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.step, self.notes = saved["step"], saved.get("notes", {})
        return True

    def steps(
        self,
        backward: Callable[[int, torch.Generator], float],
        after: Callable[[int, float], bool],
        label: str,
    ) -> None:
        """Take the steps that are left.

        Args:
            backward: (step, generator) to the loss; it fills the gradients.
            after: called after each step with its number and loss; True ends the run.
            label: of the progress bar.
        """
        from tqdm import tqdm

        run, saved_at = self.run, time.monotonic()
        self.run.folder.mkdir(parents=True, exist_ok=True)
        self.model.train()
        left = range(self.step, run.steps)
        hidden = None if self.writes else True
        bar = tqdm(left, label, initial=self.step, total=run.steps, mininterval=5, disable=hidden)
        for step in bar:
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * _schedule(step, run)
            torch.manual_seed(run.seed * 1_000_003 + step)
            self.model.zero_grad(set_to_none=True)
            loss = backward(step, step_generator(run.seed, step))
            if run.clip:
                torch.nn.utils.clip_grad_norm_(list(self.trained.values()), run.clip)
            for optimizer in self.optimizers:
                optimizer.step()
            self._average(min(run.ema, (1 + step) / (10 + step)))
            self.step = step + 1
            is_over = after(step, loss)
            late = time.monotonic() - saved_at > run.save_seconds
            if self.writes and (late or is_over or self.step == run.steps):
                self.save()
                saved_at = time.monotonic()
            if is_over:
                break

    def finish(self) -> None:
        """Put the averaged weights into the model, and it into evaluation mode."""
        self.swap()
        self.model.eval()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights in training and the averaged ones, where there are any."""
        for name, average in self.averaged.items():
            p = self.trained[name]
            kept = p.detach().clone()
            p.copy_(average)
            average.copy_(kept)

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        if self.averaged:
            pairs = list(self.averaged.values()), list(self.trained.values())
            torch._foreach_lerp_(*pairs, 1 - decay)

    def state(self) -> dict[str, torch.Tensor]:
        """What is trained and what is counted, such as the statistics of batch norms: the model's
        state without the frozen weights."""
        frozen = {n for n, p in self.model.named_parameters() if not p.requires_grad}
        return {n: x for n, x in self.model.state_dict().items() if n not in frozen}

    def load_state(self, state: dict[str, torch.Tensor], path: Path) -> None:
        """Put a `state` back into the model.
        Raises BindplugError: a weight that is trained is not in it; the file is named."""
        lacking, _ = self.model.load_state_dict(state, strict=False)
        if lost := set(lacking) & set(self.trained):
            raise BindplugError(f"{path}: has no weights {min(lost)!r}; remove it")

    def save(self) -> None:
        """Write the checkpoint by rename, without the frozen weights."""
        state = {
            "settings": self.key,
            "model": self.state(),
            "averaged": self.averaged,
            "optimizers": [o.state_dict() for o in self.optimizers],
            "step": self.step,
            "notes": self.notes,
        }
        with writing(self.checkpoint) as file:
            torch.save(state, file)
