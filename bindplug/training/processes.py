"""The processes of one run, as torchrun and accelerate launch start them; one without them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor

from ..errors import BindplugError, first_line

# For which processes wait for each other: the first one makes features and figures meanwhile.
PATIENCE = timedelta(days=1)


@dataclass(frozen=True)
class Processes:
    """This process's number among `count`."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def gather(self, x: Tensor) -> Tensor:
        """(B, ...) of every process, of equal shapes, to (count * B, ...), in order; no gradient
        flows through."""
        if self.count == 1:
            return x
        parts = [torch.empty_like(x) for _ in range(self.count)]
        torch.distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    def share(self, rows: int) -> slice:
        """This process's rows of a batch."""
        each = rows // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def sum_gradients(self, parameters: list[Tensor]) -> None:
        """Add up the gradients of all processes in place, in one message."""
        if self.count == 1:
            return
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        flat = torch.cat([p.grad.flatten() for p in parameters])
        torch.distributed.all_reduce(flat)
        for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            p.grad.copy_(part.view_as(p))

    def agree(self, value: bool) -> bool:
        """Whether the first process says so."""
        if self.count == 1:
            return value
        said = torch.tensor([int(value)], device=_device())
        torch.distributed.broadcast(said, 0)
        return bool(said.item())

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """A block that the first process ends before the others begin it, so that they find what
        it keeps on disk."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def wait(self) -> None:
        if self.count > 1:
            torch.distributed.barrier()


def _device() -> str:
    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"


def start_processes(device: str) -> tuple[Processes, str]:
    """The processes that RANK, WORLD_SIZE and LOCAL_RANK name, connected; and this one's device.

    Args:
        device: cuda becomes this process's own GPU.

    Raises BindplugError: the processes cannot meet, or are more than GPUs."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        return Processes(), device
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", 0))
    on_gpu = device.startswith("cuda")
    if on_gpu:
        if local >= torch.cuda.device_count():
            raise BindplugError(
                f"process {local} has no GPU of its own; start fewer, or on the cpu"
            )
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    if not torch.distributed.is_initialized():
        try:
            torch.distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
        except Exception as err:  # torch raises many kinds
            raise BindplugError(f"the {count} processes cannot meet: {first_line(err)}") from err
    return Processes(rank, count), device


def end_processes() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
