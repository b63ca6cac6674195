"""Text and image towers of other CLIP spaces as embedders, through open_clip."""

from .plugins import B32, BIGG14, L14, OpenCLIPNetwork

__all__ = ["B32", "BIGG14", "L14", "OpenCLIPNetwork"]
