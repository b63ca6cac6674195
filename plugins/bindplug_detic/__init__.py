"""Detic without detectron2: the model, and bindplug's detector around it."""

from .config import DeticConfig, config_from_state
from .detic import Detic

__all__ = ["Detic", "DeticConfig", "config_from_state"]
