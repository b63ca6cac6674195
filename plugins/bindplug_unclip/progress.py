"""How far a pipeline is: its own progress bar, or a function that is called after each step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bindplug.generation.settings import Progress


@contextmanager
def showing(pipe, progress: Progress) -> Iterator[None]:
    """Show the pipeline's bar in this block, hide it, or call a function with the number of steps
    done and of all; a pipeline of several parts counts each part anew."""
    pipe.set_progress_bar_config(disable=progress is not True)
    if not callable(progress):
        yield
        return

    def bar(iterable=None, total=None):
        return Steps(progress, iterable, total)

    pipe.progress_bar = bar  # in place of the class's
    try:
        yield
    finally:
        del pipe.progress_bar


class Steps:
    """What diffusers uses of a tqdm bar."""

    def __init__(self, tell: Callable[[int, int], None], iterable=None, total: int | None = None):
        self.tell, self.iterable, self.done = tell, iterable, 0
        self.total = len(iterable) if total is None else total

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def __iter__(self):
        for item in self.iterable:
            yield item
            self.update()

    def update(self, count: int = 1) -> None:
        self.done += count
        self.tell(self.done, self.total)
