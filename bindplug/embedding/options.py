"""How inputs are read, as text: NAME=VALUE."""

import json
from collections.abc import Iterable

from ..errors import BindplugError
from .modalities import MODALITIES

BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def read_options(pairs: Iterable[str], modalities: Iterable[str]) -> dict:
    """NAME=VALUE pairs to a dictionary of options for `Embedder.embed`: numbers and booleans are
    taken as such. Raises BindplugError: a name that none of the modalities has."""
    out, modalities = {}, sorted(set(modalities))
    known = {name for modality in modalities for name in MODALITIES[modality].options}
    for pair in pairs:
        name, given, value = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not given or name not in known:
            raise BindplugError(
                f"option {pair!r}; {', '.join(modalities)} has: "
                f"{', '.join(sorted(known)) or 'none'}, each as NAME=VALUE"
            )
        out[name] = option_value(value)
    return out


def option_value(text: str):
    """What JSON makes of a text; yes, no, on and off as booleans; else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return BOOLEANS.get(text.lower(), text)
