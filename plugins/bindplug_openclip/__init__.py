"""Text and image towers of other CLIP spaces as embedders, through open_clip."""

from .network import OpenCLIPNetwork
from .plugins import B32, BIGG14, L14

__all__ = ["B32", "BIGG14", "L14", "OpenCLIPNetwork"]
