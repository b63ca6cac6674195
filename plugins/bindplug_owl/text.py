"""The text encoder of an OWL model: a fine-tuned CLIP's, so it has a space of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bindplug.embedding.modalities import MODALITIES, prepare
from bindplug.imagebind.config import TextConfig
from bindplug.plugins import Network


class OwlText(Network):
    """An OWL model's text encoder as a Network.

    Args:
        model: an `OwlViTForObjectDetection` or `Owlv2ForObjectDetection`.
    """

    modalities = ("text",)

    def __init__(self, model: nn.Module):
        self.model = model
        self.encoder = model.owlv2 if hasattr(model, "owlv2") else model.owlvit
        c = model.config.text_config
        self.config = TextConfig(context_length=c.max_position_embeddings, vocab_size=c.vocab_size)

    def options(self, modality: str) -> tuple[str, ...]:
        return MODALITIES[modality].options

    def transform(self, modality: str, item, **options):
        return prepare(modality, item, self.config, options)

    def encode(self, modality: str, ids: Tensor) -> Tensor:
        """(B, L) int64 token ids to (B, D) unit vectors."""
        end = ids.argmax(dim=1, keepdim=True)
        mask = (torch.arange(ids.shape[1], device=ids.device) <= end).long()
        out = self.encoder.text_model(input_ids=ids, attention_mask=mask).pooler_output
        return F.normalize(self.encoder.text_projection(out).float(), dim=-1)

    def logit_scale(self, modality: str) -> float:
        """exp of the learnt scale."""
        return self.encoder.logit_scale.exp().item()

    def cast(self, dtype: torch.dtype) -> OwlText:
        """The detector, whose model this is, decides the precision and the device of both."""
        return self

    def to(self, device: str) -> OwlText:
        return self
