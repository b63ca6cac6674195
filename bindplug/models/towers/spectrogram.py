"""Sounds, depth and heat as images of one channel, for trunks that were made for images."""

from __future__ import annotations

from torch import Tensor

from ...embedding.modalities import MODALITIES, prepare
from ...errors import BindplugError
from ...imagebind import AudioConfig, DepthConfig, ThermalConfig

CONFIGS = {"audio": AudioConfig, "depth": DepthConfig, "thermal": ThermalConfig}
SPECTROGRAM = (AudioConfig.mel_bins, AudioConfig.frames)


def one_channel(modality: str, item, size: int, options: dict) -> tuple[Tensor, tuple]:
    """One input through ImageBind's transform to (n, 1, H, W) float32, and its clips' seconds.

    Args:
        size: of the side of depth and thermal images, pixels; a sound's log-mel clips are
            (n, 1, *SPECTROGRAM) whatever it is.

    Raises BindplugError: a modality that is no image of one channel, or as the transform does."""
    if modality not in CONFIGS:
        raise BindplugError(
            f"no trunk for images takes {modality}; it takes image, {', '.join(CONFIGS)}"
        )
    config = AudioConfig() if modality == "audio" else CONFIGS[modality](image_size=size)
    return prepare(modality, item, config, options)


def options_of(modality: str) -> tuple[str, ...]:
    """Names of the options that the transform of a modality takes."""
    return MODALITIES[modality].options if modality in MODALITIES else ()
