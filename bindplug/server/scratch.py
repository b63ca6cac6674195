"""The one way to a temporary folder: one a request, and no message names it."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BindplugError
from .uploads import Upload


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for the files of one request, gone at the end of the block.

    In the message of a BindplugError that passes, a path in it is left with the file's own name."""
    with tempfile.TemporaryDirectory(prefix="bindplug-serve-") as folder:
        try:
            yield Path(folder)
        except BindplugError as err:
            err.args = (re.sub(rf"{re.escape(folder)}(?:/\d+)?/?", "", str(err)),)
            raise


def write_uploads(folder: Path, uploads: list[Upload]) -> dict[Upload, str]:
    """Uploads as files under their own names, each in a folder of its own, and their paths."""
    paths = {}
    for number, upload in enumerate(dict.fromkeys(uploads)):
        path = folder / str(number) / upload.name
        path.parent.mkdir()
        path.write_bytes(upload.getbuffer())
        paths[upload] = str(path)
    return paths
