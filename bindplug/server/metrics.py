"""Counts and times, as Prometheus reads them (text exposition format 0.0.4)."""

import threading
from collections import defaultdict
from collections.abc import Callable
from itertools import accumulate

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


class Histogram:
    """Observations counted by upper bounds."""

    def __init__(self, bounds: tuple[float, ...]):
        self.bounds, self.counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        place = next((i for i, b in enumerate(self.bounds) if value <= b), len(self.bounds))
        self.counts[place] += 1
        self.sum += value

    def lines(self, name: str, labels: str = "") -> list[str]:
        between, own = ("," if labels else ""), (f"{{{labels}}}" if labels else "")
        bounds = [*(f"{b:g}" for b in self.bounds), "+Inf"]
        counts = list(accumulate(self.counts))
        return [
            *(f'{name}_bucket{{{labels}{between}le="{b}"}} {c}'
              for b, c in zip(bounds, counts, strict=True)),
            f"{name}_sum{own} {self.sum:g}",
            f"{name}_count{own} {counts[-1]}",
        ]  # fmt: skip


class Metrics:
    """Requests by path and status, their seconds, and sizes of batches; `gauges` are read when
    they are asked for. Threads may share it."""

    def __init__(self, gauges: dict[str, tuple[str, Callable[[], float]]] | None = None):
        self.gauges = gauges or {}  # name: (help, value)
        self._requests: dict[tuple[str, int], int] = defaultdict(int)
        self._seconds: dict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self._answered: dict[str, tuple[int, float]] = {}  # by path: answers of 200, their seconds
        self._batches, self._bytes, self._lock = Histogram(SIZES), 0, threading.Lock()

    def request(self, path: str, status: int, seconds: float) -> None:
        with self._lock:
            self._requests[path, status] += 1
            self._seconds[path].add(seconds)
            if status == 200:
                count, total = self._answered.get(path, (0, 0.0))
                self._answered[path] = count + 1, total + seconds

    def batch(self, size: int) -> None:
        with self._lock:
            self._batches.add(size)

    def received(self, count: int) -> None:
        with self._lock:
            self._bytes += count

    def mean_seconds(self, path: str) -> float:
        """From a path's requests to their answers so far, refusals left out; 1 before the first."""
        with self._lock:
            count, total = self._answered.get(path, (1, 1.0))
            return total / count

    def text(self) -> str:
        out = []

        def head(name: str, kind: str, words: str) -> None:
            out.extend([f"# HELP {name} {words}", f"# TYPE {name} {kind}"])

        with self._lock:
            head("bindplug_requests_total", "counter", "Requests by path and status.")
            for (path, status), count in sorted(self._requests.items()):
                out.append(f'bindplug_requests_total{{path="{path}",status="{status}"}} {count}')
            head("bindplug_request_seconds", "histogram", "Seconds from a request to its answer.")
            for path, histogram in sorted(self._seconds.items()):
                out += histogram.lines("bindplug_request_seconds", f'path="{path}"')
            head("bindplug_batch_size", "histogram", "Inputs that were encoded together.")
            out += self._batches.lines("bindplug_batch_size")
            head("bindplug_received_bytes_total", "counter", "Bytes of request bodies.")
            out.append(f"bindplug_received_bytes_total {self._bytes}")
        for name, (words, value) in self.gauges.items():
            head(name, "gauge", words)
            out.append(f"{name} {value():g}")
        return "\n".join(out) + "\n"
