"""Sizes of an ImageBind network. The defaults are those of the released imagebind_huge."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class VisionConfig:
    width: int = 1280
    depth: int = 32
    heads: int = 16
    drop_path: float = 0.0
    image_size: int = 224  # pixels, square
    patch_size: int = 14
    frames: int = 2  # a still image is repeated to this many frames


@dataclass(frozen=True)
class TextConfig:
    width: int = 1024
    depth: int = 24
    heads: int = 16
    drop_path: float = 0.0
    context_length: int = 77
    vocab_size: int = 49408  # CLIP's BPE; a smaller one keeps the first merges


@dataclass(frozen=True)
class AudioConfig:
    width: int = 768
    depth: int = 12
    heads: int = 12
    drop_path: float = 0.1
    mel_bins: int = 128
    frames: int = 204  # 10 ms each
    patch_size: int = 16
    stride: int = 10


@dataclass(frozen=True)
class DepthConfig:
    width: int = 384
    depth: int = 12
    heads: int = 8
    drop_path: float = 0.0
    image_size: int = 224
    patch_size: int = 16


@dataclass(frozen=True)
class ThermalConfig:
    width: int = 768
    depth: int = 12
    heads: int = 12
    drop_path: float = 0.0
    image_size: int = 224
    patch_size: int = 16


@dataclass(frozen=True)
class IMUConfig:
    width: int = 512
    depth: int = 6
    heads: int = 8
    drop_path: float = 0.7
    channels: int = 6
    steps: int = 2000  # 5 s at 400 Hz
    window: int = 8


@dataclass(frozen=True)
class ImageBindConfig:
    """One network: the width of the joint space and a trunk for each modality that is not None."""

    embed_dim: int = 1024
    vision: VisionConfig | None = VisionConfig()
    text: TextConfig | None = TextConfig()
    audio: AudioConfig | None = AudioConfig()
    depth: DepthConfig | None = DepthConfig()
    thermal: ThermalConfig | None = ThermalConfig()
    imu: IMUConfig | None = IMUConfig()

    @property
    def modalities(self) -> dict[str, Any]:
        """The modalities of this network and their sizes, in the order of the state dict."""
        found = {f.name: getattr(self, f.name) for f in fields(self)[1:]}
        return {name: sizes for name, sizes in found.items() if sizes is not None}

    def to_dict(self) -> dict:
        """Plain numbers, for JSON."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: dict) -> ImageBindConfig:
        """The inverse of `to_dict`; a modality that is absent has no trunk.
        Raises ValueError: a name that the configuration does not have."""
        sizes: dict[str, Any] = {f.name: type(f.default) for f in fields(cls)[1:]}
        try:
            given = {m: sizes[m](**data[m]) for m in data if m != "embed_dim"}
        except (KeyError, TypeError) as err:
            raise ValueError(f"unknown key in an ImageBind config: {err}") from err
        return cls(data["embed_dim"], **{**dict.fromkeys(sizes), **given})


def imagebind_huge() -> ImageBindConfig:
    """The released model: 1311 tensors, 1,200,786,990 elements, 1024-d, six modalities."""
    return ImageBindConfig()
