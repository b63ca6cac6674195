"""A trunk of ImageBind's class: with the released weights, a checkpoint's, or from nothing."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from torch import Tensor, nn

from ...embedding.modalities import MODALITIES, numpy_prepare, prepare
from ...errors import BindplugError, check_choice
from ...imagebind import ImageBind, ImageBindConfig, imagebind_huge
from ...imagebind.checkpoint import load_imagebind, read_config
from ...plugins import NumpyTransform
from ...storage.download import pull
from .tower import Trunk

CLIP_SECONDS = {"audio": 2.0, "imu": 5.0}
RELEASED = "imagebind-huge"


def sizes_of(modality: str, sizes: dict) -> ImageBindConfig:
    """A configuration with one trunk; sizes that are not given are the released model's.

    Raises BindplugError: a modality that ImageBind does not have, or an unknown size."""
    check_choice("modality of ImageBind", modality, MODALITIES)
    trunk = MODALITIES[modality].trunk
    config = getattr(imagebind_huge(), trunk)
    known = [f.name for f in fields(config)]
    for name, value in sizes.items():
        check_choice(f"size of ImageBind's {modality} trunk", name, known)
        least = 0 if name == "drop_path" else 1
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < least:
            raise BindplugError(f"{modality} trunk: {name} is {value!r}; give a number")
    config = replace(config, **sizes)
    if config.width % config.heads:
        raise BindplugError(
            f"{modality} trunk: width {config.width} is not a multiple of {config.heads} heads"
        )
    others = dict.fromkeys(f.name for f in fields(ImageBindConfig)[1:])
    return ImageBindConfig(config.width, **{**others, trunk: config})


class ImageBindTrunk(Trunk):
    """One trunk of ImageBind, (B, ...) clips as the network takes them to (B, width).

    Args:
        modality: image, text, audio, depth, thermal or imu.
        weights: "" for a network from nothing; "imagebind-huge", "local:PATH" or
            "hf:ORG/REPO". With weights the
            features are the network's own embedding before normalisation (1024-d); from nothing
            they are the normalised class token (text: end of text), and the tower's head replaces
            the network's.
        config: `ImageBindConfig.to_dict` of a network that has its own head and whose weights are
            loaded afterwards.
        sizes: of a network from nothing (`bindplug.imagebind.config`): width, depth, heads, ...
    """

    def __init__(self, modality: str, weights: str = "", config: dict | None = None, **sizes):
        super().__init__()
        trunk = MODALITIES[modality].trunk if modality in MODALITIES else ""
        if weights and sizes:
            raise BindplugError(f"{modality} trunk: {weights} has its own sizes")
        if weights or config:
            net = ImageBind(ImageBindConfig.from_dict(config), [trunk]) if config else None
            net = net or _load(weights, trunk, modality)
            self.width = net.config.embed_dim
        else:
            config = sizes_of(modality, sizes)
            net = ImageBind(config)
            self.width = config.embed_dim
            head = net.modality_heads[trunk]
            (head.proj if trunk == "text" else head)[-1] = nn.Identity()
        self.net, self.trunk_name, self.pretrained = net, trunk, bool(weights)
        self.modalities = tuple(m for m, of in MODALITIES.items() if of.trunk == trunk)
        self.modalities = (modality, *(m for m in self.modalities if m != modality))
        self.clip_seconds = CLIP_SECONDS.get(modality)
        self.frequency_axis = -2 if modality == "audio" else None

    def transform(self, modality: str, item, **options) -> tuple[Tensor, tuple]:
        config = getattr(self.net.config, self.trunk_name)
        return prepare(modality, item, config, options)

    def numpy_transform(self, modality: str) -> NumpyTransform | None:
        return numpy_prepare(modality, getattr(self.net.config, self.trunk_name))

    def options(self, modality: str) -> tuple[str, ...]:
        return MODALITIES[modality].options

    def skeleton(self, name: str, arguments: dict) -> tuple[str, dict]:
        if not name:
            return name, arguments
        config = self.net.config.to_dict()
        return "", {"config": {k: config[k] for k in ("embed_dim", self.trunk_name)}}

    def blocks(self) -> list[nn.Module]:
        return list(self.net.modality_trunks[self.trunk_name].blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.net.features(self.trunk_name, x)


def _load(weights: str, trunk: str, modality: str) -> ImageBind:
    from ..huge import CATALOGUE
    from ..imagebind import fetch_hub

    if weights == RELEASED:
        path = pull(CATALOGUE[0])
    elif weights.startswith("hf:"):
        path = fetch_hub(weights.removeprefix("hf:"))
    else:
        path = Path(weights.removeprefix("local:"))
    if path.is_dir() and trunk not in read_config(path)[0].modalities:
        raise BindplugError(f"{path}: has no {modality} trunk")
    return load_imagebind(path, [trunk])
