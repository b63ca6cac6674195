"""The one thread that runs the models of a device, and its queue.

Requests that want the same done with inputs of their own and arrive within some milliseconds are
run as one batch. Long work (an image, a video) lets the short work in between its steps.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field

WAIT = 0.02  # seconds that the first of a batch waits for others
BATCH = 32  # most items of a batch


@dataclass
class Job:
    """One item on its way, and whom to tell."""

    work: Callable  # of a list of items, in a batch; else of nothing
    item: object = None
    key: Hashable = None  # jobs of equal keys are run together; None: by itself
    long: bool = False
    born: float = field(default_factory=time.monotonic)
    future: Future = field(default_factory=Future)


class Worker:
    """A thread and its queue.

    Args:
        name: of the thread.
        company: how many jobs may be there before long; a batch of all of them waits for no more.
        batched: is told the size of each batch.
        most: items of a batch.

    Attributes:
        running: whether the thread is at work.
    """

    def __init__(
        self,
        name: str,
        company: Callable[[], int] = lambda: BATCH,
        batched: Callable[[int], None] = lambda _: None,
        most: int = BATCH,
    ):
        self.company, self.batched, self.most = company, batched, most
        self._jobs: deque[Job] = deque()
        self._change = threading.Condition()
        self._ending = False
        self.running = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable, *args, long: bool = False):
        """`work(*args)` on the worker's thread; `long` work calls `breathe` between its steps."""
        [result] = await self._submit([Job(lambda: work(*args), long=long)])
        return result

    async def run_together(self, key: Hashable, work: Callable, items: list) -> list:
        """A result for each item. `work` gets a list of items, of other callers of the same key
        too, and gives a list of results; a result that is an exception is raised to its caller."""
        return await self._submit([Job(work, item, key) for item in items])

    def breathe(self) -> None:
        """Within long work: run all short work that waits."""
        while (batch := self._next(wait=False)) is not None:
            self._do(batch)

    def close(self) -> None:
        """Finish what waits, and end."""
        with self._change:
            self._ending = True
            self._change.notify_all()
        self._thread.join()

    async def _submit(self, jobs: list[Job]) -> list:
        with self._change:
            self._jobs.extend(jobs)
            self._change.notify_all()
        futures = [asyncio.wrap_future(job.future) for job in jobs]
        try:
            results = await asyncio.gather(*futures, return_exceptions=True)
        finally:  # when the caller is gone, what has not begun is not begun
            for job in jobs:
                job.future.cancel()
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results

    def _run(self) -> None:
        while (batch := self._next(wait=True)) is not None:
            self.running = True
            self._do(batch)
            self.running = False

    def _next(self, wait: bool) -> list[Job] | None:
        """The jobs to run next; None at the end, or where nothing short waits."""
        with self._change:
            while True:
                first = next((job for job in self._jobs if wait or not job.long), None)
                if first is None:
                    if not wait or self._ending:
                        return None
                    self._change.wait()
                    continue
                batch = [first]
                if first.key is not None:
                    batch = [job for job in self._jobs if job.key == first.key][: self.most]
                    left = first.born + WAIT - time.monotonic()
                    alone = len(self._jobs) >= self.company()
                    if wait and left > 0 and len(batch) < self.most and not (alone or self._ending):
                        self._change.wait(left)
                        continue
                for job in batch:
                    self._jobs.remove(job)
                return batch

    def _do(self, batch: list[Job]) -> None:
        batch = [job for job in batch if job.future.set_running_or_notify_cancel()]
        if not batch:
            return
        try:
            if batch[0].key is None:
                results = [batch[0].work()]
            else:
                results = batch[0].work([job.item for job in batch])
                self.batched(len(batch))
        except BaseException as err:
            if len(batch) > 1:  # one bad item must not fail its neighbours
                for job in batch:
                    self._do_again(job)
                return
            results = [err]
        for job, result in zip(batch, results, strict=True):
            _tell(job.future, result)

    @staticmethod
    def _do_again(job: Job) -> None:
        try:
            [result] = job.work([job.item])
        except BaseException as err:
            result = err
        _tell(job.future, result)


def _tell(future: Future, result) -> None:
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
