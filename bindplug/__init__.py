"""Plug ImageBind embeddings in where a text embedding used to go."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("bindplug")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

# Imported on first use, so that `bindplug --help` stays quick.
_WHERE = {
    "Bridge": "bridge.bridge",
    "BindplugError": "errors",
    "Detections": "detection.results",
    "Embedder": "embedding.embedder",
    "Embedding": "embedding.vectors",
    "SpaceMismatch": "errors",
    "compose": "embedding.vectors",
    "default_vocabulary": "bridge.vocabulary",
    "export_onnx": "models.onnx.export",
    "fit_bridge": "bridge.fit",
    "load_detector": "models.load",
    "load_embedder": "models.load",
    "load_generator": "models.load",
    "load_masker": "models.load",
    "similarity": "embedding.vectors",
    "slerp": "embedding.vectors",
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'bindplug' has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
