"""Sizes of an ImageBind network. The defaults are those of the released imagebind_huge."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


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
    def modalities(self) -> dict[str, object]:
        """The modalities of this network and their sizes, in the order of the state dict."""
        names = ("vision", "text", "audio", "depth", "thermal", "imu")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def to_dict(self) -> dict:
        """Plain numbers, for JSON."""
        return {"embed_dim": self.embed_dim, **{m: asdict(c) for m, c in self.modalities.items()}}

    @classmethod
    def from_dict(cls, data: dict) -> ImageBindConfig:
        """The inverse of `to_dict`; a modality that is absent has no trunk.

        Raises:
            ValueError: a name that the configuration does not have.
        """
        classes = {
            "vision": VisionConfig,
            "text": TextConfig,
            "audio": AudioConfig,
            "depth": DepthConfig,
            "thermal": ThermalConfig,
            "imu": IMUConfig,
        }
        unknown = set(data) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown key in an ImageBind config: {sorted(unknown)[0]!r}")
        try:
            modalities = {m: make(**data[m]) if m in data else None for m, make in classes.items()}
        except TypeError as err:
            raise ValueError(f"unknown key in an ImageBind config: {err}") from err
        return cls(embed_dim=data["embed_dim"], **modalities)


def imagebind_huge() -> ImageBindConfig:
    """The released model: 1311 tensors, 1,200,786,990 elements, 1024-d, six modalities."""
    return ImageBindConfig()
