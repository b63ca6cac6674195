"""A training loop that shows progress, logs a curve and resumes where it was interrupted."""

import csv
import math
import os
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from ..errors import BindplugError
from .muon import Muon


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
        ema: decay of the averaged weights, which are what `fit` leaves in the model.
        clip: largest norm of the gradient.
        seed: of each step's randomness (`step_generator`).
        save_seconds: between checkpoints.
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


def step_generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator that depends on seed and step only, so that a resumed run is the same run."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def _optimizers(model: nn.Module, run: Run) -> list[torch.optim.Optimizer]:
    matrices, rest = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            in_block = run.muon_lr and p.ndim == 2 and ".blocks." in name
            (matrices if in_block else rest).append(p)
    decayed = [p for p in rest if p.ndim >= 2]
    others = [p for p in rest if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": run.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    out: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=run.lr, betas=(0.9, 0.98))]
    if matrices:
        out.append(Muon(matrices, run.muon_lr, run.weight_decay))
    for optimizer in out:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return out


def _schedule(step: int, run: Run) -> float:
    """The factor of the peak learning rate: linear warm-up, then a cosine to 0.03."""
    if step < run.warmup:
        return (step + 1) / run.warmup
    done = (step - run.warmup) / max(1, run.steps - run.warmup)
    return 0.03 + 0.97 * (1 + math.cos(math.pi * done)) / 2


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
    from tqdm import tqdm

    run.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = run.folder / "checkpoint.pt"
    optimizers = _optimizers(model, run)
    averaged = deepcopy(model)
    settings, start = repr(replace(run, folder=Path(), save_seconds=0.0)), 0
    if checkpoint.exists():
        device = next(model.parameters()).device
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        if saved.get("settings", settings) != settings:
            raise BindplugError(
                f"{checkpoint} is of a run with other settings, {saved['settings']}; remove it, or "
                "choose another folder"
            )
        model.load_state_dict(saved["model"])
        averaged.load_state_dict(saved["averaged"])
        for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        start = saved["step"]
    trained = [p for p in model.parameters() if p.requires_grad]
    model.train()
    saved_at = time.monotonic()
    recent: list[float] = []
    for step in tqdm(range(start, run.steps), label, initial=start, total=run.steps, mininterval=5):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * _schedule(step, run)
        torch.manual_seed(run.seed * 1_000_003 + step)
        loss = loss_of_step(step, step_generator(run.seed, step))
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, run.clip)
        for optimizer in optimizers:
            optimizer.step()
        _average(averaged, model, min(run.ema, (1 + step) / (10 + step)))
        recent.append(loss.item())
        if (step + 1) % 50 == 0:
            _log(run.folder / "curve.csv", step + 1, sum(recent) / len(recent))
            recent.clear()
        if time.monotonic() - saved_at > run.save_seconds or step + 1 == run.steps:
            _save(checkpoint, settings, model, averaged, optimizers, step + 1)
            saved_at = time.monotonic()
    model.load_state_dict(averaged.state_dict())
    model.eval()


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 1 - decay)
    for a, b in zip(averaged.buffers(), model.buffers(), strict=True):
        a.copy_(b)


def _save(path: Path, settings: str, model, averaged, optimizers, step: int) -> None:
    state = {
        "settings": settings,
        "model": model.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizers": [o.state_dict() for o in optimizers],
        "step": step,
    }
    scratch = path.with_suffix(".part")
    torch.save(state, scratch)
    os.replace(scratch, path)


def _log(path: Path, step: int, loss: float) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", "loss"])
        writer.writerow([step, f"{loss:.4f}"])
