"""The spaces that target models of bindplug live in, as embedders through open_clip."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from bindplug.embedding.modalities import MODALITIES, numpy_prepare, prepare
from bindplug.errors import first_line, kind_of
from bindplug.imagebind.config import TextConfig, VisionConfig
from bindplug.plugins import Network, NumpyTransform, Plugin
from bindplug.storage.cache_dir import hub_access


class OpenCLIPNetwork(Network):
    """A CLIP of open_clip, loaded when it is first needed.

    Its images and texts are prepared as ImageBind's are, which took both from CLIP.

    Args:
        open_model: returns an `open_clip.CLIP`, or one of its custom-text kind.
    """

    modalities = ("image", "text")

    def __init__(self, open_model: Callable):
        self.open_model, self._model = open_model, None
        self._device, self._dtype, self._compile = "cpu", torch.float32, False

    @property
    def model(self):
        if self._model is None:
            model = self.open_model().eval()
            scale = model.logit_scale.data.float()
            model.to(self._dtype)
            model.logit_scale.data = scale  # in float32, whatever the rest is
            model.to(self._device)
            self._model = torch.compile(model) if self._compile else model
        return self._model

    def options(self, modality: str) -> tuple[str, ...]:
        return MODALITIES[modality].options

    def transform(self, modality: str, item, **options):
        return prepare(modality, item, self._sizes(modality), options)

    def numpy_transform(self, modality: str) -> NumpyTransform | None:
        return numpy_prepare(modality, self._sizes(modality))

    def _sizes(self, modality: str) -> VisionConfig | TextConfig:
        if modality == "image":
            size = self.model.visual.image_size
            return VisionConfig(image_size=size if isinstance(size, int) else size[0])
        text = getattr(self.model, "text", self.model)
        return TextConfig(context_length=text.context_length, vocab_size=text.vocab_size)

    def encode(self, modality: str, clips: Tensor) -> Tensor:
        """Images (B, 3, H, W) or token ids (B, L) int64 to (B, D) unit vectors."""
        if modality == "image":
            features = self.model.encode_image(clips.to(self._dtype))
        else:
            features = self.model.encode_text(clips)
        return F.normalize(features.float(), dim=-1)

    def logit_scale(self, modality: str) -> float:
        """exp of CLIP's learnt scale for text, 1 for images."""
        return self.model.logit_scale.exp().item() if modality == "text" else 1.0

    def to(self, device: str) -> OpenCLIPNetwork:
        self._device = device
        if self._model is not None:
            self._model.to(device)
        return self

    def cast(self, dtype: torch.dtype) -> OpenCLIPNetwork:
        self._dtype, self._model = dtype, None
        return self

    def compile(self) -> OpenCLIPNetwork:
        self._compile, self._model = True, None
        return self


def load(name: str, device: str, space: str, model: str, weights: str, **settings):
    """An embedder from open_clip's weights, fetched through the Hugging Face hub's cache.
    Raises BindplugError: they are not there and cannot be fetched."""
    from bindplug.embedding.embedder import Embedder

    def open_model():
        import open_clip

        try:
            with hub_access():
                return open_clip.create_model(model, pretrained=weights)
        except Exception as err:  # open_clip and the hub raise many kinds
            raise kind_of(err)(
                f"{space}: open_clip's {model} ({weights}) cannot be loaded: {first_line(err)}"
            ) from err

    network = OpenCLIPNetwork(open_model)
    return Embedder(network, space, device, fingerprint=f"{model} {weights}", **settings)


def _plugin(space: str, model: str, weights: str, description: str, hub: str) -> Plugin:
    opened = partial(load, space=space, model=model, weights=weights)
    return Plugin(
        opened, description, licence="MIT", hub=(hub,), space=space, modalities=("image", "text")
    )


B32 = _plugin(
    "openai-clip-vit-b-32", "ViT-B-32-quickgelu", "openai",
    "CLIP ViT-B/32, 512-d: the space of Detic's classifier; MIT",
    "timm/vit_base_patch32_clip_224.openai",
)  # fmt: skip
L14 = _plugin(
    "openai-clip-vit-l-14", "ViT-L-14-quickgelu", "openai",
    "CLIP ViT-L/14, 768-d: the space of Karlo and small unCLIP; MIT",
    "timm/vit_large_patch14_clip_224.openai",
)  # fmt: skip
BIGG14 = _plugin(
    "openclip-vit-bigg-14/laion2b", "ViT-bigG-14", "laion2b_s39b_b160k",
    "OpenCLIP ViT-bigG/14, 1280-d: the space of Kandinsky 2.2; MIT",
    "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
)  # fmt: skip
