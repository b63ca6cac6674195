"""Training encoders into one space: InfoNCE, initialisation, and a loop that resumes.

`bindplug train` runs `run.train`; its parts can be used alone.
"""

from importlib import import_module

_WHERE = {
    "Groups": "sampling",
    "Run": "loop",
    "Standardise": "features",
    "accuracy": "zero_shot",
    "cached": "features",
    "encode_views": "features",
    "encode_with_fewer_tokens": "contrastive",
    "fit": "loop",
    "info_nce": "contrastive",
    "mimetic_init": "init",
    "sine_cosine": "init",
    "step_generator": "loop",
    "whitening_filters": "init",
}

__all__ = list(_WHERE)


def __getattr__(name: str):
    """Each on first use, so that the command line reads the settings alone."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
