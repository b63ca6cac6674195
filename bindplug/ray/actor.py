"""What the actors of all jobs share."""

import os
import socket
from collections.abc import Iterable

from ..errors import BindplugError
from ..storage.arrow import printable


def enter(folder: str) -> None:
    """Work in a folder, for relative paths. BindplugError where this machine does not have it."""
    try:
        os.chdir(folder)
    except OSError as err:
        raise BindplugError(
            f"{folder}: is not there on {socket.gethostname()}; start the job in a folder that all "
            "machines share"
        ) from err


def check_models(expected: Iterable[str], found: Iterable[str]) -> None:
    """BindplugError where an actor has loaded other weights than the job was begun with."""
    if list(expected) != list(found):
        raise BindplugError(
            f"{socket.gethostname()} has other weights of these models than the machine that "
            "started the job (compared by path, size and time); keep weights and the "
            "environment in folders that all machines share, or in one container image"
        )


def error_text(err: object | None) -> str | None:
    """An error for the column `error`."""
    return None if err is None else printable(str(err))
