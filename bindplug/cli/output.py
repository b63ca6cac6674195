"""What several commands share: messages, errors as one line with their exit code, output files."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import io
import json
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from ..errors import BindplugError, BindplugWarning, FileExists, InputsFailed

UNEXPECTED, INTERRUPTED, TERMINATED = 1, 130, 143
STEM = 120  # bytes of a file name without ending; file systems hold 255, endings and numbers follow


def say(text: str) -> None:
    """Messages go to stderr; stdout is for data."""
    click.echo(text, err=True)


def clear_errors(command: Callable) -> Callable:
    """End with one line and the exception's exit code; BINDPLUG_DEBUG=1 shows the traceback.

    While the command runs, warnings of other packages are silent, bindplug's own are one line
    each, SIGTERM ends it like Ctrl-C, so that nothing half-written is left, and what the terminal
    cannot encode is printed with backslashes.
    """

    @functools.wraps(command)
    def wrapped(*args, **kwargs):
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        before = _on_terminate(_terminated)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("default", BindplugWarning)
                warnings.showwarning = lambda message, *_: say(f"Warning: {message}")
                return command(*args, **kwargs)
        except (click.exceptions.Exit, click.Abort, click.exceptions.NoArgsIsHelpError):
            raise
        except (Exception, KeyboardInterrupt) as err:
            if getattr(err, "errno", None) == errno.EPIPE:  # click ends quietly
                raise
            if os.environ.get("BINDPLUG_DEBUG"):
                raise
            message, code = _told(err)
            say(message)
            if isinstance(err, OSError):
                _drop_stdout()
            sys.exit(code)
        finally:
            if before is not None:
                _on_terminate(before)

    return wrapped


def _told(err: BaseException) -> tuple[str, int]:
    """An exception as one line, and its exit code."""
    if isinstance(err, KeyboardInterrupt):
        return "Interrupted", INTERRUPTED
    if isinstance(err, FileExists):
        return f"Error: {err}; add --overwrite or write elsewhere", err.exit_code
    if isinstance(err, BindplugError):
        return f"Error: {err}", err.exit_code
    if isinstance(err, click.ClickException):
        usage = getattr(err, "ctx", None)
        more = f" (see {usage.command_path} --help)" if usage else ""
        return f"Error: {err.format_message()}{more}", err.exit_code
    if isinstance(err, OSError):
        return f"Error: {err.filename or 'output'}: {err.strerror}", BindplugError.exit_code
    first = (str(err).splitlines() or [""])[0]
    return (
        f"Error: unexpected {type(err).__name__}: {first} (BINDPLUG_DEBUG=1 shows where)",
        UNEXPECTED,
    )


def _terminated(*_) -> None:
    sys.exit(TERMINATED)


def _on_terminate(handler):
    """Install a handler of SIGTERM; returns the one before, None outside the main thread."""
    try:
        return signal.signal(signal.SIGTERM, handler)
    except ValueError:
        return None


def _drop_stdout() -> None:
    """Let what is still buffered go nowhere: Python would fail on it once more at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Failures:
    """Inputs that could not be used: each is said at once, and the exit code tells of them.

    Args:
        keep_going: list them again at the end, where nobody overlooks them, and exit with 5.
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
        """End the command if there were any."""
        if self.keep_going and self.count:
            raise InputsFailed("\n  ".join([f"{self.count} could not be done:", *self.messages]))
        if self.count:
            sys.exit(BindplugError.exit_code)


def unique_stems(paths: Iterable[str]) -> list[str]:
    """File names without endings: cut where they are too long for a file system, and numbered
    where they would collide, with numbers that none of the others has."""
    stems = [_shortened(Path(path).stem or "image") for path in paths]
    own, used, numbers, out = set(stems), set(), {}, []
    for stem in stems:
        name = stem
        while name in used or (name != stem and name in own):
            numbers[stem] = numbers.get(stem, 1) + 1
            name = f"{stem}_{numbers[stem]}"
        used.add(name)
        out.append(name)
    return out


def _shortened(stem: str) -> str:
    data = os.fsencode(stem)
    if len(data) <= STEM:
        return stem
    kept = data[: STEM - 9].decode("utf-8", "ignore")
    return f"{kept}-{hashlib.sha256(data).hexdigest()[:8]}"


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[str]) -> None:
    """
    Raises:
        BindplugError: an output is the same file as an input, by whatever name or link.
    """

    def place(path):
        try:
            stat = os.stat(path)
        except (OSError, ValueError):  # absent, or a text
            return None
        return stat.st_dev, stat.st_ino

    taken = {place(path): path for path in inputs}
    taken.pop(None, None)
    for path in outputs:
        if (there := place(path)) in taken and there is not None:
            raise BindplugError(
                f"{path}: would replace the input {taken[there]}; choose another --output"
            )


def to_json(data, indent: int | None = None) -> str:
    """JSON text; NaN and infinite numbers, which JSON does not have, are null."""
    try:
        return json.dumps(data, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(data), indent=indent)


def _finite(data):
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


class JsonStream:
    """A JSON document with one long list, written entry by entry: to a scratch file that becomes
    the target when all is there, or to stdout for "-".

    Args:
        target: a path or "-".
        name: of the list in the document; None makes the list the document.
    """

    def __init__(self, target: str, name: str | None, overwrite: bool):
        self.name, self.count = name, 0
        self.pending = None
        if target == "-":
            self.file = click.get_text_stream("stdout")
            return
        from ..storage.atomic import PendingFile, check_target

        self.pending = PendingFile(check_target(target, overwrite))
        self.file = io.TextIOWrapper(self.pending.file, "utf-8")

    def add(self, entry: dict, head: dict) -> None:
        """One entry; the first also writes the document's head."""
        self.file.write(", " if self.count else self._opening(head))
        self.file.write(to_json(entry))
        self.count += 1

    def close(self, head: dict) -> None:
        """Write the end, and the target."""
        if not self.count:
            self.file.write(self._opening(head))
        self.file.write("]}\n" if self.name else "]\n")
        if self.pending is None:
            self.file.flush()
            return
        from ..storage.atomic import explain

        with explain(self.pending.path):
            self.file.flush()
        self.pending.commit()

    def discard(self) -> None:
        """Leave nothing, after an error."""
        if self.pending is not None:
            self.pending.discard()

    def _opening(self, head: dict) -> str:
        if self.name is None:
            return "["
        return to_json(head)[:-1] + f', "{self.name}": ['


def put_json(target: str | None, data, overwrite: bool) -> None:
    """Write JSON to a file, or to stdout for "-"; None does nothing."""
    if target == "-":
        click.echo(to_json(data))
    elif target is not None:
        from ..storage.atomic import check_target, write_file

        path, text = check_target(target, overwrite), to_json(data, indent=1) + "\n"
        write_file(path, lambda f: f.write(text.encode()))
