"""The ImageBind network (Girdhar et al., CVPR 2023) under the released state dict's names."""

from .checkpoint import load_imagebind, save_imagebind
from .config import (
    AudioConfig,
    DepthConfig,
    ImageBindConfig,
    IMUConfig,
    TextConfig,
    ThermalConfig,
    VisionConfig,
    imagebind_huge,
)
from .model import ImageBind

__all__ = [
    "AudioConfig", "DepthConfig", "IMUConfig", "ImageBind", "ImageBindConfig", "TextConfig",
    "ThermalConfig", "VisionConfig", "imagebind_huge", "load_imagebind", "save_imagebind",
]  # fmt: skip
