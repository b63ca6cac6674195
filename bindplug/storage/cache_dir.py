""" """

from __future__ import annotations

import os
from pathlib import Path

from .hashing import file_fingerprint


def cache_dir() -> Path:
    """BINDPLUG_HOME, else `bindplug` in the user's cache folder."""
    if os.environ.get("BINDPLUG_HOME"):
        return Path(os.environ["BINDPLUG_HOME"]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "bindplug"


def is_offline() -> bool:
    """Whether BINDPLUG_OFFLINE or HF_HUB_OFFLINE forbids the network."""
    names = ("BINDPLUG_OFFLINE", "HF_HUB_OFFLINE")
    return any(os.environ.get(n, "").lower() in ("1", "true", "yes", "on") for n in names)


def derived_folder(path: Path) -> Path:
    """Where what is made of a file is kept."""
    return cache_dir() / "derived" / file_fingerprint(path)
