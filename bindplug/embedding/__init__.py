"""Unit vectors that know their space, and the embedders that make them."""

from importlib import import_module

__all__ = ["Embedding", "compose", "concatenate", "similarity", "slerp", "unit"]


def __getattr__(name: str):
    """Names of `vectors`, on first use: the command line reads the table of modalities alone."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".vectors", __name__), name)
