"""The ImageBind network (Girdhar et al., CVPR 2023) under the released state dict's names."""

from importlib import import_module

# Imported on first use: the configurations need no torch.
_WHERE = {
    "AudioConfig": "config",
    "DepthConfig": "config",
    "IMUConfig": "config",
    "ImageBind": "model",
    "ImageBindConfig": "config",
    "TextConfig": "config",
    "ThermalConfig": "config",
    "VisionConfig": "config",
    "imagebind_huge": "config",
    "load_imagebind": "checkpoint",
    "save_imagebind": "checkpoint",
}

__all__ = list(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
