"""An open_clip model in the terms in which `bindplug.embedder.Embedder` asks a network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bindplug.imagebind import ImageBindConfig, TextConfig, VisionConfig


class OpenCLIPNetwork:
    """Image and text towers of a CLIP.

    Its pictures and texts are prepared as ImageBind's are, which took both from CLIP.

    Args:
        model: an `open_clip.CLIP`, or one of its custom-text kind.
    """

    def __init__(self, model):
        self.model = model.eval()
        size = model.visual.image_size
        text = getattr(model, "text", model)
        self.config = ImageBindConfig(
            embed_dim=model.visual.output_dim,
            vision=VisionConfig(image_size=size if isinstance(size, int) else size[0]),
            text=TextConfig(context_length=text.context_length, vocab_size=text.vocab_size),
            audio=None,
            depth=None,
            thermal=None,
            imu=None,
        )
        self.modality_trunks = {"vision": model.visual, "text": text.transformer}

    def encode_clips(self, sense: str, x: Tensor) -> Tensor:
        """`vision` (B, 3, H, W) or `text` (B, L) int64 to (B, D): unit vectors, texts times the
        logit scale."""
        if sense == "vision":
            x = x.to(next(self.model.visual.parameters()).dtype)
        encode = self.model.encode_image if sense == "vision" else self.model.encode_text
        return F.normalize(encode(x).float(), dim=-1) * self.logit_scale(sense)

    def logit_scale(self, sense: str) -> float:
        """exp of CLIP's learnt scale for text, 1 for vision."""
        return self.model.logit_scale.exp().item() if sense == "text" else 1.0

    def cast(self, dtype: torch.dtype) -> OpenCLIPNetwork:
        """All weights but the scale in `dtype`, in place."""
        scale = self.model.logit_scale.data.float()
        self.model.to(dtype)
        self.model.logit_scale.data = scale
        return self

    def to(self, device: str) -> OpenCLIPNetwork:
        self.model.to(device)
        return self
