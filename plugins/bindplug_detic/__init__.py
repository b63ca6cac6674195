"""Detic without detectron2: the model, bindplug's detector, and an adapter for a live one.

Names are imported on first use, so that `patched` works beside any version of timm.
"""

from importlib import import_module

_WHERE = {
    "Detic": "detic",
    "DeticConfig": "config",
    "config_from_state": "config",
    "patched": "live",
}
__all__ = ["Detic", "DeticConfig", "config_from_state", "patched"]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'bindplug_detic' has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
