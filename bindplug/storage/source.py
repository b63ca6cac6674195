"""Inputs as they come: their names for messages, their files, their arrays, their decoders."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from ..errors import BindplugError


def source_name(source, otherwise: str) -> str:
    """A path as it is, a file object's or image's own name, else `otherwise`."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return name if isinstance(name, str) and name else otherwise


class NamedBytes(io.BytesIO):
    """A file in memory that messages call by a name."""

    def __init__(self, data: bytes, name: str):
        super().__init__(data)
        self.name = name


def check_file(path: str | os.PathLike, name: str, what: str) -> None:
    """BindplugError for a path that is absent, a folder, or an empty file; a pipe passes."""
    if not os.path.exists(path):
        raise BindplugError(f"{name}: no such file")
    if os.path.isdir(path):
        raise BindplugError(f"{name}: is a folder, not a {what}")
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise BindplugError(f"{name}: is an empty file")


@contextmanager
def decoding(name: str, problem: str) -> Iterator[None]:
    """Any exception of a decoder (Pillow, PyAV, libsndfile) as a BindplugError "name: problem"; a
    BindplugError passes."""
    try:
        yield
    except BindplugError:
        raise
    except Exception as err:
        raise BindplugError(f"{name}: {problem}") from err


@contextmanager
def open_source(source, name: str, what: str) -> Iterator[BinaryIO]:
    """A seekable binary file at its start, of a path or of a binary file object.

    Pipes and streams that cannot seek are read into memory. A file object stays open.
    Raises BindplugError: absent, a folder, empty, unreadable, closed, in text mode, or no file."""
    if isinstance(source, (str, os.PathLike)):
        check_file(source, name, what)
        try:
            file = open(source, "rb")  # noqa: SIM115
        except OSError as err:
            raise BindplugError(f"{name}: cannot be read ({err.strerror})") from err
        with file:
            yield _seekable(file, name)
    elif not hasattr(source, "read"):
        raise BindplugError(f"{name}: is a {type(source).__name__}; give a path or a file object")
    elif getattr(source, "closed", False):
        raise BindplugError(f"{name}: is a closed file; open it again")
    elif isinstance(source, io.TextIOBase):
        raise BindplugError(f'{name}: is a file in text mode; open it with "rb"')
    elif isinstance(source, io.BytesIO):  # of its own position; shares the bytes
        yield io.BytesIO(source.getvalue())
    else:
        yield _seekable(source, name)


def _seekable(file, name: str) -> BinaryIO:
    with decoding(name, "cannot be read"):
        if hasattr(file, "seek") and getattr(file, "seekable", lambda: True)():
            file.seek(0)
            return file
        data = file.read()
        if not isinstance(data, bytes):
            raise BindplugError(f"{name}: does not read as bytes; open it in binary mode")
    if not data:
        raise BindplugError(f"{name}: is an empty file")
    return io.BytesIO(data)


def reopenable(source, name: str, what: str):
    """What can be opened several times over: a path of an ordinary file, else bytes in memory."""
    if isinstance(source, (str, os.PathLike)):
        check_file(source, name, what)
        if os.path.isfile(source):  # a pipe can be read once only
            return source
    elif not getattr(source, "closed", True) and source.seekable():
        return source
    with open_source(source, name, what) as file:
        return io.BytesIO(file.read())


def to_array(source, name: str) -> np.ndarray:
    """A NumPy array of an array, a tensor (any device, with a gradient, bfloat16) or lists;
    BindplugError for ragged lists, or nothing like an array."""
    with decoding(name, "is no array of numbers; give rows of one length"):
        if hasattr(source, "detach"):
            source = source.detach().cpu()
            if source.is_floating_point():
                source = source.float() if source.element_size() < 4 else source
            source = source.numpy()
        return np.asarray(source)
