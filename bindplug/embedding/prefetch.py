"""Items computed by threads a few steps before they are needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor


def prefetch(work: Callable, items: Iterable, workers: int, depth: int) -> Iterator:
    """`work(item)` for each item, in order; at most `depth` wait, done or not.

    What is still waiting when the caller stops early is not begun."""
    source, waiting = iter(items), deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in source:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
