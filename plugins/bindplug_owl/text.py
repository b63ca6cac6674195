"""The text tower of an OWL model, which is a CLIP's, fine-tuned, and so a space of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bindplug.imagebind import ImageBindConfig, TextConfig


class OwlText:
    """What `bindplug.embedder.Embedder` asks of a network, for text alone.

    Args:
        model: an `OwlViTForObjectDetection` or `Owlv2ForObjectDetection`.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self.tower = model.owlv2 if hasattr(model, "owlv2") else model.owlvit
        c = model.config.text_config
        self.config = ImageBindConfig(
            embed_dim=model.config.projection_dim,
            vision=None,
            text=TextConfig(context_length=c.max_position_embeddings, vocab_size=c.vocab_size),
            audio=None,
            depth=None,
            thermal=None,
            imu=None,
        )
        self.modality_trunks = {"text": self.tower.text_model}

    def encode_clips(self, sense: str, ids: Tensor) -> Tensor:
        """(B, L) int64 to (B, D) unit vectors times CLIP's logit scale."""
        end = ids.argmax(dim=1, keepdim=True)
        mask = (torch.arange(ids.shape[1], device=ids.device) <= end).long()
        out = self.tower.text_model(input_ids=ids, attention_mask=mask).pooler_output
        vectors = self.tower.text_projection(out).float()
        return F.normalize(vectors, dim=-1) * self.logit_scale(sense)

    def logit_scale(self, sense: str) -> float:
        """exp of the learnt scale."""
        return self.tower.logit_scale.exp().item()

    def cast(self, dtype: torch.dtype) -> OwlText:
        """The detector decides the precision of what both share."""
        return self

    def to(self, device: str) -> OwlText:
        return self
