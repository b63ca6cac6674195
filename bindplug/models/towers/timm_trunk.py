"""A trunk of timm, for images, and for sounds, depth and heat as images of one channel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import BindplugError, first_line, kind_of
from ...storage.cache_dir import hub_access
from ...storage.state_dict import read_state
from ...transforms.vision import load_image, resize_and_crop
from .spectrogram import SPECTROGRAM, one_channel, options_of
from .tower import Trunk

REFUSALS = (AssertionError, RuntimeError, ValueError)  # that timm's models raise for a size


class TimmTrunk(Trunk):
    """A model of timm without its classifier: (B, C, H, W) to (B, num_features).

    Images are resized, cropped and normalised as the model's own configuration says, bicubic.

    Args:
        modality: image, or audio, depth or thermal, which have one channel.
        name: as `timm.create_model` takes it.
        pretrained: fetch timm's weights.
        checkpoint: a file of weights to read instead.
        size: pixels of the side; 0 takes the model's own. A model that refuses it, or the
            spectrograms of sounds, is rebuilt for it where timm can do that.

    Raises BindplugError: no such model, a size that it cannot have, weights that cannot be had, or
    of another model."""

    def __init__(
        self, modality: str, name: str, pretrained: bool = False, checkpoint: str = "",
        size: int = 0, **settings,
    ):  # fmt: skip
        super().__init__()
        import timm

        if type(size) is not int or size < 0:
            raise BindplugError(f"timm:{name}: size is {size!r}; give pixels")
        channels = 3 if modality == "image" else 1
        try:
            with hub_access():
                net = timm.create_model(
                    name, pretrained=pretrained, num_classes=0, in_chans=channels, **settings
                )
        except Exception as err:  # timm and the hub raise many kinds
            raise kind_of(err)(f"timm's model {name!r} cannot be had: {first_line(err)}") from err
        if checkpoint:
            _load(net, checkpoint)
        data = timm.data.resolve_model_data_config(net)
        self.size = size or data["input_size"][-1]
        if size or modality == "audio":
            shape = SPECTROGRAM if modality == "audio" else (size, size)
            _fit(net, name, (channels, *shape))
        self.resized = round(self.size / data["crop_pct"])
        shape = (3, 1, 1)
        self.mean, self.std = (torch.tensor(data[k]).reshape(shape) for k in ("mean", "std"))
        self.net, self.width, self.modalities = net, net.num_features, (modality,)
        self.pretrained = bool(pretrained or checkpoint)
        if modality == "audio":
            self.clip_seconds, self.frequency_axis = 2.0, -2

    def transform(self, modality: str, item, **options) -> tuple[Tensor, tuple]:
        if modality != "image":
            return one_channel(modality, item, self.size, options)
        image = resize_and_crop(load_image(item, **options), self.resized)
        edge = (image.width - self.size) // 2
        array = np.asarray(image)[edge : edge + self.size, edge : edge + self.size]
        x = torch.from_numpy(array.copy()).permute(2, 0, 1).float() / 255
        return ((x - self.mean) / self.std)[None], ()

    def options(self, modality: str) -> tuple[str, ...]:
        return options_of(modality)

    def skeleton(self, name: str, arguments: dict) -> tuple[str, dict]:
        fetched = ("pretrained", "checkpoint")
        return name, {k: v for k, v in arguments.items() if k not in fetched}

    def blocks(self) -> list[nn.Module]:
        for name in ("blocks", "layers", "stages"):
            found = getattr(self.net, name, None)
            if isinstance(found, (nn.Sequential, nn.ModuleList)):
                return list(found)
        layers = [getattr(self.net, f"layer{i}", None) for i in range(1, 5)]
        return [layer for layer in layers if layer is not None]

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def _fit(net: nn.Module, name: str, shape: tuple[int, int, int]) -> None:
    """Rebuild a model that refuses inputs of a (C, H, W) shape, such as a vision transformer.
    Raises BindplugError: it cannot take them."""
    try:
        _try(net, shape)
    except REFUSALS:
        try:
            if hasattr(net, "set_input_size"):
                net.set_input_size(img_size=shape[1:])
            _try(net, shape)
        except REFUSALS as err:
            height, width = shape[1:]
            raise BindplugError(
                f"timm:{name} cannot take {height} x {width} pixels: {first_line(err)}"
            ) from err


@torch.no_grad()
def _try(net: nn.Module, shape: tuple[int, int, int]) -> None:
    net.eval()
    net(torch.zeros(1, *shape))
    net.train()


def _load(net: nn.Module, path: str) -> None:
    """Weights by name; or, where no name fits, in timm's order, since older files of the same
    networks differ in names alone."""
    state, own = read_state(path), net.state_dict()
    for key in ("state_dict", "model"):
        state = state[key] if isinstance(state.get(key), dict) else state
    if not set(own) <= set(state):
        values = list(state.values())[: len(own)]
        if [v.shape for v in values] != [v.shape for v in own.values()]:
            raise BindplugError(f"{path}: is of another model")
        state = dict(zip(own, values, strict=True))
    try:
        net.load_state_dict({k: state[k] for k in own})
    except RuntimeError as err:
        raise BindplugError(f"{path}: is of another model: {first_line(err)}") from err
