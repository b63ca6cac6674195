"""The worker's thread: batches, long work, cancelled callers, bad neighbours."""

import asyncio
import threading
import time

import pytest

from bindplug.server.kept import Kept
from bindplug.server.long_work import run_long
from bindplug.server.metrics import Metrics
from bindplug.server.worker import BATCH, Worker


@pytest.fixture
def worker(monkeypatch):
    monkeypatch.setattr("bindplug.server.worker.WAIT", 0.5)  # so that a busy machine is no fault
    sizes: list[int] = []
    worker = Worker("test", company=lambda: 1000, batched=sizes.append)
    worker.sizes = sizes
    yield worker
    worker.close()


def double(items):
    return [2 * item for item in items]


def test_requests_of_one_kind_share_a_batch(worker):
    async def main():
        calls = [worker.run_together("double", double, [i]) for i in range(10)]
        return await asyncio.gather(*calls)

    assert asyncio.run(main()) == [[2 * i] for i in range(10)]
    assert worker.sizes == [10]


def test_kinds_do_not_mix_and_batches_are_bounded(worker):
    async def main():
        ones = [worker.run_together("double", double, [i]) for i in range(BATCH + 5)]
        negative = worker.run_together("negative", lambda items: [-i for i in items], [1, 2])
        return await asyncio.gather(negative, *ones)

    negative, *ones = asyncio.run(main())
    assert negative == [-1, -2] and ones == [[2 * i] for i in range(BATCH + 5)]
    assert sorted(worker.sizes) == [2, 5, BATCH]


def test_a_lone_request_does_not_wait(monkeypatch):
    monkeypatch.setattr("bindplug.server.worker.WAIT", 5.0)
    worker = Worker("lone", company=lambda: 1)
    began = time.perf_counter()
    assert asyncio.run(worker.run_together("double", double, [1])) == [2]
    assert time.perf_counter() - began < 2.5
    worker.close()


def test_a_bad_item_does_not_fail_its_neighbours(worker):
    def halve(items):
        return [1 / item for item in items]

    async def main():
        calls = [worker.run_together("halve", halve, [i]) for i in (1, 0, 2)]
        return await asyncio.gather(*calls, return_exceptions=True)

    one, error, two = asyncio.run(main())
    assert (one, two) == ([1.0], [0.5]) and isinstance(error, ZeroDivisionError)


def test_an_error_among_results_is_its_callers_alone(worker):
    def check(items):
        return [ValueError("odd") if item % 2 else item for item in items]

    async def main():
        calls = [worker.run_together("check", check, [i]) for i in (0, 1)]
        return await asyncio.gather(*calls, return_exceptions=True)

    even, odd = asyncio.run(main())
    assert even == [0] and isinstance(odd, ValueError)


def test_short_work_goes_between_the_steps_of_long_work(worker):
    order = []

    def long(tell):
        for step in range(3):
            time.sleep(0.05)
            order.append(f"step {step}")
            tell("progress", {})
        return {}

    async def main():
        work = asyncio.ensure_future(run_long(worker, long))
        await asyncio.sleep(0.02)
        second = asyncio.ensure_future(worker.run(order.append, "other long", long=True))
        await worker.run(order.append, "short")
        await asyncio.gather(work, second)

    asyncio.run(main())
    assert order == ["step 0", "short", "step 1", "step 2", "other long"]


def test_long_work_ends_when_its_caller_is_gone(worker):
    steps, over = [], threading.Event()

    def long(tell):
        try:
            for step in range(1000):
                time.sleep(0.01)
                steps.append(step)
                tell("progress", {})
        finally:
            over.set()

    async def main():
        work = asyncio.ensure_future(run_long(worker, long))
        await asyncio.sleep(0.05)
        work.cancel()

    asyncio.run(main())
    assert over.wait(2) and 0 < len(steps) < 20


def test_cancelled_work_is_not_begun(worker):
    done = []

    async def main():
        blocking = asyncio.ensure_future(worker.run(time.sleep, 0.1))
        await asyncio.sleep(0.02)
        waiting = asyncio.ensure_future(worker.run(done.append, 1))
        await asyncio.sleep(0.02)
        waiting.cancel()
        await blocking
        await worker.run(done.append, 2)

    asyncio.run(main())
    assert done == [2]


def test_close_finishes_what_waits():
    worker, done = Worker("closing"), []

    async def main():
        calls = [worker.run(done.append, i) for i in range(5)]
        running = asyncio.gather(worker.run(time.sleep, 0.05), *calls)
        await asyncio.sleep(0.01)
        await asyncio.to_thread(worker.close)
        await running

    asyncio.run(main())
    assert done == [0, 1, 2, 3, 4]


def test_kept():
    kept = Kept(0.2, 10, size=len)
    kept.put("a", "12345")
    kept.put("b", "1234")
    assert kept.get("a") == "12345"  # now b is the least used
    kept.put("c", "123")
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == ("12345", None, "123")
    kept.put("d", "x" * 11)  # more than all may be: an answer with its link is on its way
    assert kept.get("d") == "x" * 11
    kept.put("a", "1")
    assert (kept.get("d"), kept.get("a")) == (None, "1")
    time.sleep(0.25)
    assert len(kept) == 0


def test_metrics_are_prometheus_text():
    metrics = Metrics({"bindplug_queue": ("Jobs.", lambda: 3)})
    metrics.request("/v1/embed", 200, 0.02)
    metrics.request("/v1/embed", 400, 200.0)
    metrics.batch(3)
    lines = metrics.text().splitlines()
    assert 'bindplug_requests_total{path="/v1/embed",status="200"} 1' in lines
    assert 'bindplug_request_seconds_bucket{path="/v1/embed",le="0.03"} 1' in lines
    assert 'bindplug_request_seconds_bucket{path="/v1/embed",le="+Inf"} 2' in lines
    assert 'bindplug_request_seconds_sum{path="/v1/embed"} 200.02' in lines
    assert 'bindplug_batch_size_bucket{le="4"} 1' in lines and "bindplug_queue 3" in lines


def test_mean_seconds_are_of_a_paths_own_answers():
    metrics = Metrics()
    assert metrics.mean_seconds("/v1/generate") == 1
    for seconds in (8.0, 10.0):
        metrics.request("/v1/generate", 200, seconds)
    metrics.request("/v1/generate", 429, 0.001)  # answered at once, and none of the work
    metrics.request("/v1/embed", 200, 0.02)
    assert metrics.mean_seconds("/v1/generate") == pytest.approx(9)
    assert metrics.mean_seconds("/v1/embed") == pytest.approx(0.02)
