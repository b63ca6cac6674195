"""Word lists that bridges and detection compete over: shipped, from timm, or of a file."""

from collections.abc import Iterable
from importlib.resources import files

from ..embedding.modalities import MODALITIES
from ..errors import BindplugError, check_choice
from ..storage.text_file import read_text

SHIPPED = ("default", "sounding", "lvis")
IMAGENET = ("imagenet-1k", "imagenet-21k")


def as_words(vocabulary: str | Iterable[str] | None) -> list[str] | None:
    """The words of a vocabulary: of a name or file as `read_vocabulary` does; None stays None.
    Raises BindplugError: no such vocabulary, or no words."""
    if vocabulary is None:
        return None
    return read_vocabulary(vocabulary) if isinstance(vocabulary, str) else list(vocabulary)


def default_vocabulary(modality: str | None = None) -> list[str]:
    """1,003 names of everyday things, shipped with bindplug.

    Args:
        modality: "audio" gives only the 163 that make a sound of their own: a word that is never
            heard would only take probability from the others. None and any other modality give
            all of them.

    Raises BindplugError: an unknown modality."""
    if modality is not None:
        check_choice("modality", modality, (*MODALITIES, "mixed"))
    return read_vocabulary("sounding" if modality == "audio" else "default")


def read_vocabulary(name: str) -> list[str]:
    """Words of a vocabulary.

    Args:
        name: "default" (1,003 everyday things), "sounding" (163 that sound), "lvis" (the 1,203
            categories of LVIS v1, CC BY 4.0, in its order, underscores as spaces), "imagenet-1k"
            or "imagenet-21k" (the first name of each synset, from timm), or a file with one a
            line (UTF-8). Duplicates and blank lines are left out.

    Raises BindplugError: no such vocabulary, a file that is no text, or an empty one."""
    if name in SHIPPED:
        file = files("bindplug.bridge").joinpath("vocabularies", f"{name}.txt")
        return file.read_text("utf-8").split("\n")[:-1]
    if name in IMAGENET:
        from timm.data import ImageNetInfo

        words = [d.split(",")[0].strip() for d in ImageNetInfo(name).label_descriptions()]
    else:
        try:
            words = [line.strip() for line in read_text(name).splitlines()]
        except BindplugError as err:
            known = ", ".join([*SHIPPED, *IMAGENET])
            raise BindplugError(
                f"no vocabulary {name!r}; choose {known}, or a text file ({err})"
            ) from err
    words = list(dict.fromkeys(w for w in words if w))
    if not words:
        raise BindplugError(f"{name}: holds no words")
    return words
