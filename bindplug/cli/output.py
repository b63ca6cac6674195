"""What several commands share: messages, errors as one line with their exit code, output files."""

import contextlib
import errno
import functools
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from ..errors import BindplugError, BindplugWarning, FileExists, InputsFailed, first_line
from ..storage.json_text import to_json
from ..storage.names import unique_names

UNEXPECTED, INTERRUPTED, TERMINATED = 1, 130, 143


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
        try:
            with warnings.catch_warnings(), _terminable():
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
            if isinstance(err, OSError):  # what is still buffered would fail once more at the end
                with contextlib.suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(code)

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
        from ..storage.atomic import reason

        return f"Error: {err.filename or 'output'}: {reason(err)}", BindplugError.exit_code
    what = f"{type(err).__name__}: {first_line(err)}"
    return f"Error: unexpected {what} (BINDPLUG_DEBUG=1 shows where)", UNEXPECTED


@contextlib.contextmanager
def _terminable():
    """SIGTERM exits with TERMINATED; outside the main thread it cannot be handled.

    Libraries may replace the exit by an exception of their own, as torch does while it loads.
    """
    received = []

    def stop(*_) -> None:
        received.append(True)
        sys.exit(TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        before = None
    try:
        yield
    except Exception:
        if received:
            sys.exit(TERMINATED)
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


class Failures:
    """Inputs that could not be used: each is said at once, and the exit code is that of the first;
    to `keep_going` lists them again at the end, where nobody overlooks them, and exits with 5."""

    def __init__(self, keep_going: bool = False):
        self.keep_going, self.messages, self.code = keep_going, [], 0

    def guard(self, work: Callable, *args):
        """The result of `work`, or None where its input was bad."""
        try:
            return work(*args)
        except BindplugError as err:
            self.add(err)
            return None

    def add(self, *errors) -> None:
        """Say some: exceptions, or messages."""
        for error in errors:
            say(f"Error: {error}")
            self.messages.append(str(error))
            self.code = self.code or getattr(error, "exit_code", BindplugError.exit_code)

    def finish(self) -> None:
        """End the command if there were any."""
        if self.keep_going and self.messages:
            count = len(self.messages)
            head = f"{count} input{'s' * (count != 1)} failed:"
            raise InputsFailed("\n  ".join([head, *self.messages]))
        if self.messages:
            sys.exit(self.code)


def unique_stems(paths: Iterable[str]) -> list[str]:
    """Distinct names for results of some files: their names without endings (`unique_names`)."""
    return unique_names(Path(path).stem or "image" for path in paths)


def check_outputs(outputs: Iterable[str | Path | None], inputs: Iterable[str | None]) -> None:
    """Refuse an output that is the same file as an input or another output, by whatever name or
    link. None and "-" are no outputs; inputs that are no files are passed over."""

    def place(path):
        try:
            stat = os.stat(path)
        except (OSError, ValueError, TypeError):  # absent, a text, None
            return None
        return stat.st_dev, stat.st_ino

    taken = {place(path): path for path in inputs}
    taken.pop(None, None)
    written = set()
    for path in outputs:
        if path in (None, "-"):
            continue
        if (source := taken.get(place(path))) is not None:
            raise BindplugError(f"{path}: would replace the input {source}; write elsewhere")
        if (real := os.path.realpath(path)) in written:
            raise BindplugError(f"{path}: two outputs would be written to it; write one elsewhere")
        written.add(real)


def check_json(target: str | None, overwrite: bool, inputs: Iterable[str | None]) -> None:
    """Refuse, before the work, what `put_json` could not write, or would write over an input."""
    from ..storage.atomic import check_target

    check_outputs([target], inputs)
    if target not in (None, "-"):
        check_target(target, overwrite)


class JsonStream:
    """A JSON document with one long list, written entry by entry: to a scratch file that becomes
    the target when all is there, or to stdout for "-".

    Args:
        target: a path or "-".
        name: of the list in the document; None makes the list the document.
    """

    def __init__(self, target: str, name: str | None, overwrite: bool):
        from ..storage.atomic import PendingFile, check_target

        self.name, self.count, self.pending = name, 0, None
        if target == "-":
            self.file = click.get_text_stream("stdout")
        else:
            self.pending = PendingFile(check_target(target, overwrite))
            self.file = io.TextIOWrapper(self.pending.file, "utf-8")

    def add(self, entry: dict, head: dict) -> None:
        """One entry; the first also writes the document's head."""
        self._write((", " if self.count else self._opening(head)) + to_json(entry))
        self.count += 1

    def close(self, head: dict) -> None:
        """Write the end, and the target."""
        start = "" if self.count else self._opening(head)
        self._write(start + ("]}\n" if self.name else "]\n"), flush=True)
        if self.pending is not None:
            self.pending.commit()

    def discard(self) -> None:
        """Leave nothing, after an error."""
        if self.pending is not None:
            self.pending.discard()

    def _write(self, text: str, flush: bool = False) -> None:
        from ..storage.atomic import explain

        with explain(self.pending.path) if self.pending else contextlib.nullcontext():
            self.file.write(text)
            if flush:
                self.file.flush()

    def _opening(self, head: dict) -> str:
        return "[" if self.name is None else to_json(head)[:-1] + f', "{self.name}": ['


def put_json(target: str | None, data, overwrite: bool = False) -> None:
    """Write JSON to a file, or to stdout for "-"; None does nothing."""
    if target == "-":
        click.echo(to_json(data))
    elif target is not None:
        from ..storage.atomic import check_target, write_file

        path, text = check_target(target, overwrite), to_json(data, indent=1) + "\n"
        write_file(path, lambda f: f.write(text.encode()))
