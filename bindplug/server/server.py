"""What all requests share: the engines, the limits, what is kept and what is counted."""

import asyncio
import math
from collections import Counter
from contextlib import contextmanager
from functools import partial

from ..errors import BindplugError
from .engine import Engine
from .in_browser import browser_files
from .long_work import EventStream, run_long
from .metrics import Metrics
from .results import Results
from .settings import Access, Limits, Models, Refused
from .uploads import Budget
from .worker import Worker


class Server:
    """Engines, one a device, and the gate before them.

    Args:
        devices: torch device names; each has all models, and a worker.
        browser: an exported folder whose models run in the browser (`in_browser`); None is none.

    Raises BindplugError: a model that cannot be loaded, or a device that is not there."""

    def __init__(
        self, models: Models, devices: tuple[str, ...], limits: Limits, access: Access,
        browser: str | None = None,
    ):  # fmt: skip
        self.browser = {} if browser is None else browser_files(browser)
        self.models, self.limits, self.access = models, limits, access
        self.answering = 0
        self._open: Counter[str] = Counter()  # the same by path
        self.budget, self.results = Budget(limits.held_megabytes * 1e6), Results(limits)
        self.link = self.results.link
        self.metrics = Metrics(
            {
                "bindplug_requests_open": ("Requests being answered.", lambda: self.answering),
                "bindplug_queue_length": ("Calls that wait or run.", self.waiting),
                "bindplug_kept_images": (
                    "Images whose features are kept.",
                    lambda: sum(len(e.features) for e in self.engines),
                ),
                "bindplug_held_bytes": ("Bytes of open requests.", lambda: self.budget.held),
            }
        )
        self.engines: list[Engine] = []
        for number, device in enumerate(map(models.place_on, devices)):
            batch = models.batch_on(device)
            company = partial(self._company, number)
            worker = Worker(f"bindplug-{number}", company, self.metrics.batch, batch)
            self.engines.append(Engine(models, device, limits, worker))

    def engine(self, content: str | None = None) -> Engine:
        """The engine for a request: of an image's sha256 always the same, as it keeps its
        features; else the one that has the least to do."""
        if content is not None:
            return self.engines[int(content[:8], 16) % len(self.engines)]
        return min(self.engines, key=Engine.load)

    def _company(self, number: int) -> int:
        """Calls that may come to an engine: those that it has, or one of each request that is not
        at work on another."""
        others = sum(e.calls() for i, e in enumerate(self.engines) if i != number)
        return max(self.engines[number].calls(), self.answering - others)

    def waiting(self) -> int:
        return sum(engine.load() for engine in self.engines)

    @contextmanager
    def gate(self, path: str):
        """Count a request to a path while it is answered.
        Raises Refused: 429 where there are too many."""
        if self.answering >= self.limits.requests:
            seconds = sum(n * self.metrics.mean_seconds(p) for p, n in self._open.items())
            after = str(min(max(math.ceil(seconds / len(self.engines)), 1), 60))
            raise Refused(429, "too many requests; try again later", {"Retry-After": after})
        self.answering += 1
        self._open[path] += 1
        try:
            yield
        finally:
            self.answering -= 1
            self._open[path] -= 1

    def long(self, engine: Engine, work, stream: bool):
        """Long work: what `answer` makes a stream of events or one result of."""
        return Long(engine, work, stream)

    async def close(self) -> None:
        """Finish what is running."""
        for engine in self.engines:
            await asyncio.to_thread(engine.worker.close)


class Long:
    """Long work of a request; see `bindplug.server.long_work`."""

    def __init__(self, engine: Engine, work, stream: bool):
        self.engine, self.work, self.stream = engine, work, stream

    async def result(self, listener=None) -> dict:
        with self.engine.busy():
            return await run_long(self.engine.worker, self.work, listener)

    def response(self, timeout: float, held) -> EventStream:
        return EventStream(self.result, timeout, status_of, held)


def status_of(err: Exception) -> tuple[int, str]:
    """The HTTP status and the message of what a request raised."""
    if isinstance(err, Refused):
        return err.status, str(err)
    if isinstance(err, BindplugError):
        return 400, str(err)
    if "out of memory" in str(err) or isinstance(err, MemoryError):
        return 413, "this takes more memory than there is; send something smaller"
    return 500, f"unexpected {type(err).__name__}"
