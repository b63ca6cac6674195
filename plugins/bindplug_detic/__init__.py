"""Detic without detectron2: the model, bindplug's detector, and an adapter for a live one."""

from .config import DeticConfig, config_from_state
from .detic import Detic
from .live import patched

__all__ = ["Detic", "DeticConfig", "config_from_state", "patched"]
