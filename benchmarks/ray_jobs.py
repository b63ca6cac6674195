"""A job on Ray with very many files: memory over its length, cost a file by number of actors.

python benchmarks/ray_jobs.py [--files 1000000] [--scaling 8000] [--actors 1,2]

A stand-in network of a fixed amount of work takes the place of a model, and nothing is decoded; the
list, Ray's queue, the embedder's stream and the writer are the real ones. Rates are those while all
actors work. What the cores allow is measured by as many plain processes that do the same without
Ray, in turns with it: "linear" is Ray's gain by more actors over theirs. Best of some rounds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bindplug import Embedder
from bindplug.ray.embedding import embed_table
from bindplug.ray.inputs import ParquetList, write_inputs
from bindplug.ray.job import Engine, Work, run_job

WIDTH = 1024
PIECE = 256  # rows that an actor works on at a time, and writes as one file
SHORT, LONG = 8, 64  # matrix products a file: 0.3 and 2 ms
MB = 2**20


class StandIn:
    """A network (`bindplug.plugins.Network`): a row for each name, by some matrix products."""

    modalities = ("text",)

    def __init__(self, products: int):
        self.products = products
        self.weights = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(0))

    def options(self, modality: str) -> tuple[str, ...]:
        return ()

    def transform(self, modality: str, item: str) -> tuple[torch.Tensor, tuple]:
        return torch.full((1, WIDTH), float(item[-4:]) + 1), ()

    def encode(self, modality: str, clips: torch.Tensor) -> torch.Tensor:
        for _ in range(self.products):
            clips = torch.nn.functional.normalize(clips @ self.weights, dim=-1)
        return clips

    def to(self, device: str) -> StandIn:
        return self

    def cast(self, dtype: torch.dtype) -> StandIn:
        return self


class Actor:
    """The embedder of a job, with the stand-in; it notes when each piece was done."""

    def __init__(self, products: int, device: str = "cpu", folder: str = ""):
        torch.set_num_threads(1)
        self.embedder = Embedder(StandIn(products), "stand-in")

    def __call__(self, inputs: pa.Table) -> pa.Table:
        began, cpu = time.time(), time.process_time()
        table = embed_table(self.embedder, inputs, {})
        cpu = time.process_time() - cpu
        notes = {"actor": os.getpid(), "began": began, "ended": time.time(), "cpu": cpu}
        for name, value in notes.items():
            table = table.append_column(name, pa.array([value] * len(table)))
        return table


@dataclass
class Watch:
    """RSS and CPU seconds of this process and Ray's, while a block runs."""

    rss: dict[str, list[float]] = field(default_factory=lambda: {"driver": [], "actors": []})
    cpu: dict[int, float] = field(default_factory=dict)  # by process
    actors: set[int] = field(default_factory=set)

    def __enter__(self) -> Watch:
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        own = psutil.Process()
        before = sum(own.cpu_times()[:2])
        while not self._stop.wait(0.5):
            actors = [0.0]
            for process in [own, *own.children(recursive=True)]:
                try:
                    with process.oneshot():
                        self.cpu[process.pid] = sum(process.cpu_times()[:2])
                        if any("MapBatches(Actor)" in part for part in process.cmdline()):
                            self.actors.add(process.pid)
                        if process.pid in self.actors:
                            actors.append(process.memory_info().rss / MB)
                except psutil.Error:  # it has ended
                    continue
            self.cpu[own.pid] -= before
            self.rss["driver"].append(own.memory_info().rss / MB)
            self.rss["actors"].append(max(actors))

    def cpu_of(self, actors: bool) -> float:
        """CPU seconds of the actors, or of all else."""
        return sum(s for pid, s in self.cpu.items() if (pid in self.actors) == actors)


@dataclass(frozen=True)
class Pace:
    """Files a second while all actors work, and CPU ms of network and stream for each file."""

    rate: float
    cost: float

    @classmethod
    def of(cls, pieces: np.ndarray) -> Pace:
        """Of (actor, began, ended, CPU seconds, files) for each piece, (N, 5)."""
        actor, began, ended, cpu, files = pieces.T
        actors = np.unique(actor)
        start = max(began[actor == each].min() for each in actors)
        stop = min(ended[actor == each].max() for each in actors)
        within = np.clip(np.minimum(ended, stop) - np.maximum(began, start), 0, None)
        done = (files * within / (ended - began)).sum()
        return cls(done / (stop - start), 1000 * cpu.sum() / files.sum())


NOTES = ("actor", "began", "ended", "cpu")


def piece(table: pa.Table) -> tuple[float, ...]:
    return (*(table[name][0].as_py() for name in NOTES), len(table))


def on_ray(folder: Path, files: Path, actors: int, products: int) -> tuple[Pace, Watch, float]:
    """The pace, what was watched, and seconds of the whole job."""
    output, began = folder / f"out-{time.time_ns()}", time.time()
    work = Work(Actor, {"products": products}, "vector", {}, ["stand-in"], PIECE)
    with Watch() as watch:
        run_job(work, ParquetList(files, "text"), output, Engine(actors, "cpu"))
    seconds = time.time() - began
    tables = [pq.read_table(path, columns=list(NOTES)) for path in output.glob("*.parquet")]
    return Pace.of(np.array([piece(table) for table in tables])), watch, seconds


def plain(inputs: Path, share: tuple[int, int], products: int, queue) -> None:
    """One process's share of the pieces, without Ray and without writing."""
    actor, (i, n) = Actor(products), share
    actor(pq.read_table(inputs).slice(0, PIECE))  # warms up
    for number, batch in enumerate(pq.ParquetFile(inputs).iter_batches(PIECE)):
        if number % n == i:
            queue.put(piece(actor(pa.Table.from_batches([batch]))))
    queue.put(None)


def without_ray(inputs: Path, processes: int, products: int) -> Pace:
    spawn = multiprocessing.get_context("spawn")
    queue = spawn.Queue()
    running = [spawn.Process(target=plain, args=(inputs, (i, processes), products, queue))
               for i in range(processes)]  # fmt: skip
    for process in running:
        process.start()
    pieces = [piece for _ in running for piece in iter(queue.get, None)]
    for process in running:
        process.join()
    return Pace.of(np.array(pieces))


def write_list(path: Path, count: int) -> Path:
    names = pa.array([f"sounds/{i:09d}" for i in range(count)])
    pq.write_table(pa.table({"path": names}), path)
    return path


def thirds(values: list[float]) -> Iterator[float]:
    """The highest of each third of a job."""
    for part in np.array_split(np.array(values), 3):
        yield float(part.max())


def memory(folder: Path, count: int, actors: int) -> None:
    files = write_list(folder / "long.parquet", count)
    pace, watch, seconds = on_ray(folder, files, actors, SHORT)
    print(f"{count} files, {actors} actors: {pace.rate:.0f} files/s, {seconds:.0f} s in all")
    own, rest = (1000 * watch.cpu_of(which) / count for which in (True, False))
    print(
        f"  CPU ms a file: {own:.2f} actors, {rest:.2f} driver, queue and writer, with their start"
    )
    for who, values in watch.rss.items():
        print(f"  MB of {who:<7}", *(f"{v:8.0f}" for v in thirds(values)), " (each third, highest)")


def scaling(folder: Path, count: int, sizes: list[int], rounds: int) -> None:
    files = write_list(folder / "short.parquet", count)
    inputs = folder / "inputs.parquet"
    write_inputs(inputs, ParquetList(files, "text"))
    paces = {(side, n): [] for n in sizes for side in ("plain", "ray")}
    for _ in range(rounds):
        for n in sizes:
            paces["plain", n].append(without_ray(inputs, n, LONG))
            paces["ray", n].append(on_ray(folder, files, n, LONG)[0])
    rate = {key: max(pace.rate for pace in each) for key, each in paces.items()}
    cost = {key: min(pace.cost for pace in each) for key, each in paces.items()}
    print("        files a second       times that of one         CPU ms a file")
    print("actors   plain     Ray       plain     Ray  linear      plain     Ray")
    for n in sizes:
        gains = [rate[side, n] / rate[side, sizes[0]] for side in ("plain", "ray")]
        costs = (f"{cost[side, n]:8.2f}" for side in ("plain", "ray"))
        print(f"{n:>6}{rate['plain', n]:>8.0f}{rate['ray', n]:>8.0f}{gains[0]:>12.2f}"
              f"{gains[1]:>8.2f}{gains[1] / gains[0]:>8.2f}   ", *costs, sep="")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1_000_000, help="of the long job; 0: none")
    parser.add_argument("--scaling", type=int, default=8_000, help="files by number of actors")
    parser.add_argument("--actors", default="1,2")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    sizes = [int(n) for n in args.actors.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        if args.scaling:
            scaling(Path(folder), args.scaling, sizes, args.rounds)
        if args.files:
            memory(Path(folder), args.files, sizes[-1])


if __name__ == "__main__":
    main()
