"""Work that takes long: told step by step as server-sent events, and ended when nobody listens."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from starlette.responses import StreamingResponse

from ..storage.json_text import to_json
from .settings import Refused
from .worker import Worker

QUIET = 5.0  # seconds without an event, after which a comment finds out whether somebody listens


class Ended(Exception):
    """Nobody waits for the result."""


@dataclass
class Teller:
    """How long work tells its progress, from the worker's thread.

    Attributes:
        ended: set when the work is to end.
        listener: gets (event, data) pairs.
    """

    worker: Worker
    listener: Callable[[str, dict], None] = lambda event, data: None
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, event: str, data: dict) -> None:
        """Tell an event; short work that waits is done first.
        Raises Ended: nobody waits any more."""
        self.worker.breathe()
        if self.ended.is_set():
            raise Ended
        self.listener(event, data)


async def run_long(worker: Worker, work: Callable[[Teller], dict], listener=None) -> dict:
    """`work(teller)` on the worker's thread; it ends at its next step when this is cancelled."""
    loop, teller = asyncio.get_running_loop(), Teller(worker)
    if listener is not None:
        teller.listener = lambda *event: loop.call_soon_threadsafe(listener, event)
    try:
        return await worker.run(work, teller, long=True)
    finally:
        teller.ended.set()


class EventStream(StreamingResponse):
    """The events of long work, then its result or its error; server-sent events.

    Args:
        run: gets a listener and gives the result's awaitable.
        timeout: seconds.
        explain: an exception to (status, message).
        held: is closed when the response is over.
    """

    def __init__(self, run, timeout: float, explain, held: ExitStack):
        self.held = held
        super().__init__(self._events(run, timeout, explain), media_type="text/event-stream",
                         headers={"Cache-Control": "no-store"})  # fmt: skip

    async def __call__(self, scope, receive, send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.body_iterator.aclose()
            self.held.close()

    @staticmethod
    async def _events(run, timeout: float, explain) -> AsyncIterator[str]:
        events: asyncio.Queue = asyncio.Queue()

        async def work() -> None:
            try:
                async with asyncio.timeout(timeout):
                    events.put_nowait(("result", await run(events.put_nowait)))
            except TimeoutError:
                late = Refused(504, f"not done within {timeout:g} seconds")
                events.put_nowait(("error", _error(*explain(late))))
            except Exception as err:
                events.put_nowait(("error", _error(*explain(err))))

        task = asyncio.ensure_future(work())
        try:
            while True:
                try:
                    event, data = await asyncio.wait_for(events.get(), QUIET)
                except TimeoutError:
                    yield ": working\n\n"
                    continue
                yield f"event: {event}\ndata: {to_json(data)}\n\n"
                if event in ("result", "error"):
                    return
        finally:
            task.cancel()


def _error(status: int, message: str) -> dict:
    return json.loads(to_json({"error": message, "status": status}))
