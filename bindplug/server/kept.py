"""Values kept in memory for a while, the least used dropped first."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable


class Kept:
    """A dictionary that forgets. Threads may share it.

    Args:
        seconds: after its last use that a value is kept.
        most: the sum of all values' sizes; the last one put in stays, whatever its size.
        size: of a value; by default each counts 1.
    """

    def __init__(self, seconds: float, most: float, size: Callable[[object], float] = lambda _: 1):
        self.seconds, self.most, self.size = seconds, most, size
        self._values: OrderedDict = OrderedDict()  # key: (last use, value), the oldest first
        self._lock = threading.Lock()

    def get(self, key):
        """The value, or None where there is none any more."""
        with self._lock:
            self._drop()
            if key not in self._values:
                return None
            _, value = self._values.pop(key)
            self._values[key] = time.monotonic(), value
            return value

    def put(self, key, value) -> None:
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = time.monotonic(), value
            self._drop()

    def __len__(self) -> int:
        with self._lock:
            self._drop()
            return len(self._values)

    def _drop(self) -> None:
        old = time.monotonic() - self.seconds
        total = sum(self.size(value) for _, value in self._values.values())
        while self._values:
            key, (used, value) = next(iter(self._values.items()))
            if used > old and (total <= self.most or len(self._values) == 1):
                return
            total -= self.size(value)
            del self._values[key]
