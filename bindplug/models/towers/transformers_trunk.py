"""A trunk of transformers, with the processor that was saved beside it."""

from __future__ import annotations

import inspect
import itertools
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import check_choice, first_line, kind_of
from ...storage.cache_dir import hub_access, is_offline
from ...transforms.audio import read_channel
from ...transforms.vision import load_image
from .tower import Trunk

PROCESSORS = {
    "image": "AutoImageProcessor",
    "audio": "AutoFeatureExtractor",
    "text": "AutoTokenizer",
}
LENGTH = 77  # tokens of a text
KEPT = 1 << 30  # added to the id of a token that is no padding


class TransformersTrunk(Trunk):
    """A model of transformers: the processor's tensor to (B, hidden_size), the pooled output, or,
    where there is none, the mean of the last hidden states.

    Args:
        modality: image, audio or text.
        name: a repository of the Hugging Face hub, or a folder.
        pretrained: False takes the architecture alone, with weights from nothing.
        seconds: of an audio clip.

    Raises BindplugError: another modality, or a model that cannot be had."""

    def __init__(
        self, modality: str, name: str, pretrained: bool = True, seconds: float = 2.0,
        channel: str = "mix",
    ):  # fmt: skip
        super().__init__()
        import transformers

        check_choice("modality of transformers", modality, PROCESSORS)
        try:
            with hub_access():
                of = {"local_files_only": is_offline()}
                processor = getattr(transformers, PROCESSORS[modality])
                self.processor = processor.from_pretrained(name, **of)
                if pretrained:
                    net = transformers.AutoModel.from_pretrained(name, **of)
                else:
                    config = transformers.AutoConfig.from_pretrained(name, **of)
                    net = transformers.AutoModel.from_config(config)
        except Exception as err:  # transformers and the hub raise many kinds
            raise kind_of(err)(f"{name}: cannot be loaded: {first_line(err)}") from err
        net = getattr(net, "vision_model" if modality == "image" else f"{modality}_model", net)
        self.net, self.modalities, self.channel = net, (modality,), channel
        self.width = net.config.hidden_size
        self.pretrained, self.clip_seconds = pretrained, seconds if modality == "audio" else None
        self.input = next(iter(inspect.signature(net.forward).parameters))

    def transform(self, modality: str, item) -> tuple[Tensor, tuple]:
        if modality == "image":
            x = self.processor(load_image(item), return_tensors="pt")
            return x[self.input], ()
        if modality == "text":
            x = self.processor(
                item, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
            )
            return x["input_ids"] + KEPT * x["attention_mask"], ()
        rate = self.processor.sampling_rate
        wave = torch.from_numpy(read_channel(item, self.channel, "audio", rate))[0]
        size = round(self.clip_seconds * rate)
        parts = [w for w in wave.split(size) if len(w) == size or len(wave) < size]
        clips = [
            self.processor(
                nn.functional.pad(w, (0, size - len(w))).numpy(), sampling_rate=rate,
                return_tensors="pt",
            )[self.input]
            for w in parts
        ]  # fmt: skip
        seconds = [i * self.clip_seconds for i in range(len(parts) + 1)]
        return torch.cat(clips), tuple(itertools.pairwise(seconds))

    def skeleton(self, name: str, arguments: dict) -> tuple[str, dict]:
        return f"./{self.modalities[0]}", {**arguments, "pretrained": False}

    def save_files(self, folder: Path) -> None:
        self.net.config.save_pretrained(folder / self.modalities[0])
        self.processor.save_pretrained(folder / self.modalities[0])

    def blocks(self) -> list[nn.Module]:
        for module in self.net.modules():
            if isinstance(module, nn.ModuleList) and len(module) > 1:
                return list(module)
        return []

    def forward(self, x: Tensor) -> Tensor:
        if x.is_floating_point():
            out = self.net(**{self.input: x})
            mask = None
        else:
            mask = (x >= KEPT).long()
            out = self.net(input_ids=x - KEPT * mask, attention_mask=mask)
        pooled = getattr(out, "pooler_output", None)
        if pooled is not None:
            return pooled
        hidden = out.last_hidden_state
        if mask is None:
            return hidden.mean(1)
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
