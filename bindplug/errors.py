"""What bindplug raises for its users, each with the exit code that the command line ends with."""

from collections.abc import Iterable


class BindplugError(Exception):
    """Bad input. The message is one line that names the file or option and says what to do."""

    exit_code = 2


class FileExists(BindplugError):
    """An output file exists and may not be replaced."""


class MissingDependency(BindplugError):
    """A package, plugin or checkpoint that is not installed or not downloaded."""

    exit_code = 3


class SpaceMismatch(BindplugError):
    """Two embeddings, or an embedding and a target model, of different spaces."""

    exit_code = 4


class InputsFailed(BindplugError):
    """Some of many inputs could not be used; the others are done. One line for each."""

    exit_code = 5


class BindplugWarning(UserWarning):
    """Something that may not be meant and does not stop the work. One line, as in BindplugError."""


def kind_of(err: BaseException) -> type[BindplugError]:
    """MissingDependency for one, BindplugError for others: for an error that says more of it."""
    return MissingDependency if isinstance(err, MissingDependency) else BindplugError


def check_choice(what: str, value, known: Iterable[str]) -> None:
    """BindplugError for a value that is not among the known ones."""
    if value not in (known := list(known)):
        *others, last = map(str, known)
        raise BindplugError(f"no {what} {value!r}; choose {', '.join(others)} or {last}")


def shorten(text: str, length: int = 60) -> str:
    """A text for a message: its start, where it is long."""
    return text if len(text) <= length else text[:length] + "..."


def first_line(err: BaseException) -> str:
    """What an exception of another library says, one line; its kind where it says nothing."""
    lines = str(err).strip().splitlines()
    return lines[0] if lines else type(err).__name__
