"""A trunk of open_clip: its image or its text encoder, with its projection."""

from __future__ import annotations

from torch import Tensor, nn

from ...embedding.modalities import MODALITIES, numpy_prepare, prepare
from ...errors import check_choice, first_line, kind_of
from ...imagebind import TextConfig, VisionConfig
from ...plugins import NumpyTransform
from ...storage.cache_dir import hub_access
from .tower import Trunk


class OpenCLIPTrunk(Trunk):
    """(B, 3, S, S) images or (B, L) token ids to (B, D), the encoder's projected features.

    Args:
        modality: image or text.
        name: a model of open_clip, such as "ViT-B-32".
        weights: a name of open_clip's for pretrained weights, a file, or "" for none.

    Raises BindplugError: another modality, no such model, or weights that cannot be had."""

    def __init__(self, modality: str, name: str, weights: str = ""):
        super().__init__()
        import open_clip

        check_choice("modality of open_clip", modality, ("image", "text"))
        try:
            with hub_access():
                model = open_clip.create_model(name, pretrained=weights or None)
        except Exception as err:  # open_clip and the hub raise many kinds
            raise kind_of(err)(
                f"open_clip's {name} ({weights or 'no weights'}) cannot be had: {first_line(err)}"
            ) from err
        self.modalities, self.pretrained = (modality,), bool(weights)
        text = getattr(model, "text", model)
        size = model.visual.image_size
        self.image = VisionConfig(image_size=size if isinstance(size, int) else size[0])
        self.text = TextConfig(context_length=text.context_length, vocab_size=text.vocab_size)
        self.width = model.visual.output_dim
        if modality == "image":
            for part in ("transformer", "text", "token_embedding", "ln_final"):
                if hasattr(model, part):
                    delattr(model, part)
            for part in ("positional_embedding", "text_projection", "logit_bias"):
                if isinstance(getattr(model, part, None), nn.Parameter):
                    delattr(model, part)
        else:
            del model.visual
        if isinstance(getattr(model, "logit_scale", None), nn.Parameter):
            model.logit_scale.requires_grad_(False)
        self.net = model

    def transform(self, modality: str, item, **options) -> tuple[Tensor, tuple]:
        return prepare(modality, item, self.image if modality == "image" else self.text, options)

    def numpy_transform(self, modality: str) -> NumpyTransform | None:
        return numpy_prepare(modality, self.image if modality == "image" else self.text)

    def options(self, modality: str) -> tuple[str, ...]:
        return MODALITIES[modality].options

    def skeleton(self, name: str, arguments: dict) -> tuple[str, dict]:
        return name, {k: v for k, v in arguments.items() if k != "weights"}

    def blocks(self) -> list[nn.Module]:
        if self.modalities[0] == "image":
            net = self.net.visual
            found = getattr(getattr(net, "transformer", None), "resblocks", None)
            found = getattr(getattr(net, "trunk", None), "blocks", None) or found
        else:
            text = getattr(self.net, "text", self.net)
            found = getattr(getattr(text, "transformer", None), "resblocks", None)
        return list(found or [])

    def forward(self, x: Tensor) -> Tensor:
        return self.net.encode_image(x) if x.is_floating_point() else self.net.encode_text(x)
