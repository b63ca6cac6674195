"""Text files as people write them: UTF-8 with or without a byte order mark, or marked UTF-16."""

import codecs
from pathlib import Path

from ..errors import BindplugError
from .atomic import reason

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: str | Path) -> str:
    """A text file's content without a byte order mark; line ends as they are.
    Raises BindplugError: a file that cannot be read, or that is no text."""
    try:
        data = Path(path).read_bytes()
        text = data.decode("utf-16" if data.startswith(UTF16) else "utf-8-sig")
    except UnicodeDecodeError as err:
        raise BindplugError(f"{path}: is not UTF-8 text; save it as UTF-8") from err
    except (OSError, ValueError) as err:
        raise BindplugError(f"{path}: cannot be read: {reason(err)}") from err
    if "\0" in text:
        raise BindplugError(f"{path}: is not UTF-8 text (it holds zero bytes); save it as UTF-8")
    return text
