"""What several commands share: options, prompts, and errors as one line."""

from __future__ import annotations

import functools
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from ..errors import BindplugError
from .options import (
    KEPT_GOING,
)


def say(text: str) -> None:
    """Talk goes to stderr; stdout is for data."""
    click.echo(text, err=True)


def clear_errors(command: Callable) -> Callable:
    """End with one line and exit code 2 on bad input; BINDPLUG_DEBUG=1 shows the traceback."""

    @functools.wraps(command)
    def wrapped(*args, **kwargs):
        warnings.filterwarnings("ignore")  # third parties' chatter is not for users
        try:
            return command(*args, **kwargs)
        except BindplugError as err:
            if os.environ.get("BINDPLUG_DEBUG"):
                raise
            say(f"Error: {err}")
            sys.exit(err.exit_code)

    return wrapped


class Failures:
    """Inputs that could not be used: each is said at once, and the exit code tells of them.

    Args:
        keep_going: say them again at the end, where nobody overlooks them, and exit with 5.
    """

    def __init__(self, keep_going: bool = False):
        self.count, self.keep_going, self.messages = 0, keep_going, []

    def guard(self, work: Callable, *args, **kwargs):
        """The result of `work`, or None where its input was bad."""
        try:
            return work(*args, **kwargs)
        except BindplugError as err:
            self.add(err)
            return None

    def add(self, message) -> None:
        """Say one."""
        say(f"Error: {message}")
        self.count += 1
        if self.keep_going:
            self.messages.append(str(message))

    def add_all(self, messages: Iterable) -> None:
        for message in messages:
            self.add(message)

    def finish(self) -> None:
        if not self.count:
            return
        if self.keep_going:
            say(f"{self.count} could not be done:")
            for message in self.messages:
                say(f"  {message}")
            sys.exit(KEPT_GOING)
        sys.exit(BindplugError.exit_code)


def unique_stems(paths: Iterable[str]) -> list[str]:
    """File names without endings, numbered where they would collide."""
    seen: dict[str, int] = {}
    out = []
    for path in paths:
        stem = Path(path).stem or "image"
        seen[stem] = seen.get(stem, 0) + 1
        out.append(stem if seen[stem] == 1 else f"{stem}_{seen[stem]}")
    return out


class JsonStream:
    """A JSON document with one long list, written entry by entry: to a temporary file that is
    renamed when all is there, or to stdout for "-".

    Args:
        target: a path or "-".
        name: of the list in the document; None makes the list the document.
    """

    def __init__(self, target: str, name: str | None, overwrite: bool):
        from ..storage.atomic import PendingFile, check_target

        self.target, self.name, self.count = target, name, 0
        if target == "-":
            self.file = click.get_text_stream("stdout")
            return
        self.pending = PendingFile(check_target(target, overwrite))
        self.file = io.TextIOWrapper(self.pending.file, "utf-8")

    def add(self, entry: dict, head: dict) -> None:
        """One entry; the first also writes the document's head."""
        self.file.write(", " if self.count else self._opening(head))
        self.file.write(json.dumps(entry))
        self.count += 1

    def close(self, head: dict) -> None:
        if not self.count:
            self.file.write(self._opening(head))
        self.file.write("]}\n" if self.name else "]\n")
        if self.target != "-":
            from ..storage.atomic import explain

            with explain(self.pending.path):
                self.file.flush()
            self.pending.commit()

    def discard(self) -> None:
        """Leave nothing, after an error."""
        if self.target != "-":
            self.pending.discard()

    def _opening(self, head: dict) -> str:
        if self.name is None:
            return "["
        return json.dumps(head)[:-1] + f', "{self.name}": ['


def put_json(target: str | None, data, overwrite: bool) -> None:
    """Write JSON to a file, or to stdout for "-"; None does nothing."""
    if target is None:
        return
    if target == "-":
        click.echo(json.dumps(data))
        return
    from ..storage.atomic import check_target, write_json

    write_json(check_target(target, overwrite), data)
