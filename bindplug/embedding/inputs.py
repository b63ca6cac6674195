"""Which files are meant: by ending, folder, pattern or list."""

import glob
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..errors import BindplugError
from .modalities import MODALITIES

MEDIA_ENDINGS = (*MODALITIES["audio"].endings, *MODALITIES["image"].endings)


def caption(label: str) -> str:
    """The file name of an audio or image file without folder and ending; a text as it is."""
    return Path(label).stem if Path(label).suffix.lower() in MEDIA_ENDINGS else label


def sum_caption(labels: Sequence[str], weights: Sequence[float]) -> str:
    """One name for a weighted sum, of its parts' captions: "cat - dog"."""
    text = ""
    for label, weight in zip(map(caption, labels), weights, strict=True):
        if weight < 0 and (" + " in label or " - " in label):
            label = f"({label})"
        text += f" - {label}" if weight < 0 else f" + {label}"
    return text[1:] if weights[0] < 0 else text[3:]


def modality_by_ending(path: str | Path) -> str:
    """audio, image or video, by a file's ending; BindplugError for one that says nothing."""
    ending = Path(path).suffix.lower()
    for modality in ("audio", "image", "video"):
        if ending and ending in MODALITIES[modality].endings:
            return modality
    raise BindplugError(f"{path}: its extension does not tell its modality; name the modality")


def expand(modality: str, value: str) -> list[str]:
    """A text, file, folder (recursively, by ending) or glob pattern to inputs, sorted.

    In a folder, hidden files and folders (`._x.png`, `.trash/`) are skipped and links to folders
    are not entered, so that a loop of links ends; links to files are taken.
    Raises BindplugError: a folder or pattern without a file of this modality."""
    if modality == "text" or os.path.isfile(value):
        return [value]
    endings, what = MODALITIES[modality].endings, "is a folder"
    if os.path.isdir(value):
        found = [p for p in _visible(value) if p.suffix.lower() in endings and p.is_file()]
    elif glob.has_magic(value):
        what = "is a pattern"
        found = [Path(p) for p in glob.glob(value, recursive=True) if os.path.isfile(p)]
    else:
        return [value]  # reported when it is read
    found = sorted(map(str, found))
    if not found:
        raise BindplugError(f"{value}: {what} without {modality} files ({', '.join(endings)})")
    return found


def _visible(folder: str) -> Iterator[Path]:
    """The files below a folder, without hidden ones."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in files if not name.startswith("."))


def read_list(lines: Iterable[str], modality: str | None = None) -> list[tuple[str, str]]:
    """(modality, value) of each line: a path, or a JSON object such as {"audio": "dog.wav"}.

    Args:
        modality: of plain lines; None goes by the ending.

    Raises BindplugError: a line that is neither; its number is named."""
    out = []
    for number, line in enumerate(lines, 1):
        line = (line.removeprefix("\ufeff") if number == 1 else line).rstrip("\r\n")
        if not line.strip():
            continue
        if not line.lstrip().startswith("{"):
            try:
                out.append((modality or modality_by_ending(line), line))
            except BindplugError as err:
                raise BindplugError(f"line {number} of the list: {err}") from err
            continue
        try:
            given = {k: v for k, v in json.loads(line).items() if k in MODALITIES}
        except (ValueError, RecursionError) as err:
            raise BindplugError(f"line {number} of the list: is not JSON: {err}") from err
        if len(given) != 1 or not isinstance(next(iter(given.values())), str):
            raise BindplugError(
                f'line {number} of the list: give one input, as in {{"audio": "dog.wav"}}'
            )
        out.extend(given.items())
    return out
