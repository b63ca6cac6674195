"""Plug ImageBind embeddings in where a text embedding used to go."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("bindplug")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

# Imported on first use, so that `bindplug --help` stays quick.
_WHERE = {
    "Bridge": "bridge",
    "BindplugError": "errors",
    "Detections": "results",
    "Embedder": "embedder",
    "Embedding": "embedding",
    "SpaceMismatch": "errors",
    "compose": "embedding",
    "default_vocabulary": "bridge",
    "fit_bridge": "bridge",
    "load_detector": "plugins",
    "load_embedder": "plugins",
    "load_generator": "plugins",
    "load_masker": "plugins",
    "similarity": "embedding",
    "slerp": "embedding",
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'bindplug' has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
