"""Embedder: files, arrays and strings of one sense to an Embedding."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from .embedding import Embedding
from .errors import BindplugError
from .imagebind import ImageBind

SENSES = {"image": "vision", "text": "text", "audio": "audio"}  # as users and the network say


class Embedder:
    """An ImageBind network with its transforms.

    Args:
        open_model: called with the senses that are needed first, returns the network with those
            trunks; a later sense is loaded when it is asked for.
        space: name of the network's space.
        senses: which of image, text and audio it speaks.
        device: torch device name.
        batch_size: inputs a forward pass.
    """

    def __init__(
        self,
        open_model: Callable[[list[str]], ImageBind],
        space: str,
        senses: tuple[str, ...],
        device: str = "cpu",
        batch_size: int = 16,
    ):
        self.open_model, self._models = open_model, {}
        self.space, self.senses = space, senses
        self.device, self.batch_size = device, batch_size

    def _model(self, sense: str) -> ImageBind:
        if sense not in self._models:
            self._models[sense] = self.open_model([sense]).to(self.device)
        return self._models[sense]

    def embed(self, **inputs) -> Embedding:
        """Embed one modality.

        Args:
            image: a path, file object, PIL image, (H, W, 3) uint8 RGB array, or a list of them.
            text: a string or a list of strings.
            audio: a path, file object, (array, rate in Hz), or a list of them. Three clips of
                2 s are averaged, as the reference does.

        Returns:
            One unit row for each input, in their order.

        Raises:
            BindplugError: no or several modalities, a modality that this embedder does not
                speak, no input, or an input that cannot be read (it is named).
        """
        given = {k: v for k, v in inputs.items() if v is not None}
        if len(given) != 1:
            raise BindplugError(
                f"embed takes one modality a call, got {', '.join(given) or 'none'}; "
                "mix embeddings with bindplug.compose"
            )
        modality, value = given.popitem()
        if modality not in self.senses:
            raise BindplugError(
                f"{self.space!r} does not embed {modality}; it speaks {', '.join(self.senses)}"
            )
        several = (list,) if modality == "audio" else (list, tuple)  # (array, rate) is one sound
        items = list(value) if isinstance(value, several) else [value]
        if not items:
            raise BindplugError(f"no {modality} to embed")
        batches = [
            self._embed_batch(modality, items[i : i + self.batch_size])
            for i in range(0, len(items), self.batch_size)
        ]
        labels = tuple(_label(modality, item, i) for i, item in enumerate(items))
        return Embedding(np.concatenate(batches), self.space, modality, labels)

    def _embed_batch(self, modality: str, items: list) -> np.ndarray:
        import torch

        sense = SENSES[modality]
        model = self._model(sense)
        config = getattr(model.config, sense)
        x = _transform(modality, items, config).to(self.device)
        with torch.inference_mode():
            out = model({sense: x})[sense]
        return out.float().cpu().numpy()


def _transform(modality: str, items: list, config):
    """A batch of one modality to the tensor that its trunk reads."""
    import torch

    if modality == "text":
        from .transforms.text import transform_text

        for item in items:
            if not isinstance(item, str):
                raise BindplugError(f"text is a string, got {type(item).__name__}")
        return transform_text(items, config)
    if modality == "image":
        from .transforms.vision import transform_image

        return torch.stack([transform_image(item, config) for item in items])
    from .transforms.audio import transform_audio

    return torch.stack([transform_audio(item, config) for item in items])


def _label(modality: str, item, index: int) -> str:
    if isinstance(item, (str, os.PathLike)):
        return os.fspath(item)
    name = getattr(item, "filename", None) or getattr(item, "name", None)
    return name if isinstance(name, str) and name else f"{modality} {index}"
