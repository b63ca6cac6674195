"""The ImageBind network (arXiv 2305.05665): per modality a stem, a trunk, a head, a logit scale.

Parameter names and shapes are those of the released state dict.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import stems
from .config import ImageBindConfig
from .transformer import Transformer

# Initial logit scales, 1 / temperature: fixed (the paper's Table 9); text: learnt, from CLIP's.
LOGIT_SCALES = {"text": 1 / 0.07, "audio": 20.0, "depth": 5.0, "thermal": 10.0, "imu": 5.0}
STEMS: dict[str, Callable[..., nn.Module]] = {
    "vision": stems.vision_stem,
    "text": stems.TextStem,
    "audio": stems.audio_stem,
    "depth": partial(stems.gray_stem, "depth_stem"),
    "thermal": partial(stems.gray_stem, "rgbt_stem"),
    "imu": stems.IMUStem,
}


class ClassToken(nn.Module):
    """(B, L, W) tokens to (B, W): the first one."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


class TextHead(nn.Module):
    """(B, L, W) tokens and (B, L) int64 ids to (B, embed_dim): the projected end-of-text token.

    It is the first token with the largest id."""

    def __init__(self, width: int, embed_dim: int):
        super().__init__()
        self.proj = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6), nn.Linear(width, embed_dim, bias=False)
        )

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        # Not len(x): an export would hold the example's number for good.
        return self.proj(x[torch.arange(x.shape[0], device=x.device), ids.argmax(dim=-1)])


class LogitScale(nn.Module):
    """x * min(exp(log_logit_scale), 100)."""

    def __init__(self, initial: float, learnable: bool):
        super().__init__()
        value = torch.tensor(math.log(initial))
        if learnable:
            self.log_logit_scale = nn.Parameter(value)
        else:
            self.register_buffer("log_logit_scale", value)

    def factor(self) -> Tensor:
        return self.log_logit_scale.exp().clamp(max=100)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor()


class Normalize(nn.Module):
    """x / ||x|| over the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1)


def _trunk(modality: str, c) -> Transformer:
    bias_kv, pre_norm = modality not in ("vision", "text"), modality == "vision"
    return Transformer(
        c.width, c.depth, c.heads, bias_kv=bias_kv, pre_norm=pre_norm, drop_path=c.drop_path
    )


def _head(modality: str, width: int, embed_dim: int) -> nn.Module:
    if modality == "text":
        return TextHead(width, embed_dim)
    layers = [nn.LayerNorm(width, eps=1e-6), ClassToken()]
    if modality == "imu":
        layers.append(nn.Dropout(0.5))
    return nn.Sequential(*layers, nn.Linear(width, embed_dim, bias=False))


def _postprocessor(modality: str) -> nn.Sequential:
    if modality == "vision":
        return nn.Sequential(Normalize())
    return nn.Sequential(Normalize(), LogitScale(LOGIT_SCALES[modality], modality == "text"))


class ImageBind(nn.Module):
    """Encoders of up to six modalities into one space (arXiv 2305.05665).

    Args:
        config: sizes; a modality that is None has no parameters.
        modalities: build only these of the config's modalities; None builds all.
    """

    def __init__(self, config: ImageBindConfig, modalities: list[str] | None = None):
        super().__init__()
        self.config = config
        chosen = {
            m: c for m, c in config.modalities.items() if modalities is None or m in modalities
        }
        self.modality_preprocessors = nn.ModuleDict({m: STEMS[m](c) for m, c in chosen.items()})
        self.modality_trunks = nn.ModuleDict({m: _trunk(m, c) for m, c in chosen.items()})
        self.modality_heads = nn.ModuleDict(
            {m: _head(m, c.width, config.embed_dim) for m, c in chosen.items()}
        )
        self.modality_postprocessors = nn.ModuleDict({m: _postprocessor(m) for m in chosen})

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Encode each modality by itself, in the order of `inputs`.

        Args:
            inputs: floating-point but for `text`: `vision` (B, 3, H, W), (B, S, 3, H, W) or
                (B, S, 3, T, H, W); `text` (B, 77) int64; `audio` (B, 1, 128, 204) or
                (B, S, 1, 128, 204); `depth` and `thermal` (B, 1, H, W); `imu` (B, 6, 2000).

        Returns:
            (B, embed_dim) for each modality: unit vectors times its logit scale (vision: 1),
            averaged over the S clips after that, so that a mean of clips is shorter than the scale.

        Raises ValueError: a modality that this network does not have, or an input of a wrong
        size."""
        return {modality: self.encode(modality, x) for modality, x in inputs.items()}

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """`forward` for one modality: its input to (B, embed_dim)."""
        if x.ndim < 5:
            return self.encode_clips(modality, x)
        out = self.encode_clips(modality, x.flatten(0, 1))
        return out.unflatten(0, (-1, x.shape[1])).mean(dim=1)

    def encode_clips(self, modality: str, x: Tensor) -> Tensor:
        """`encode` of single clips, (B, ...) without a clip axis, so `vision` may be
        (B, 3, T, H, W)."""
        features = self.features(modality, x)
        if features.itemsize < 4:  # a norm in half precision has 3 digits
            features = features.float()
        return self.modality_postprocessors[modality](features)

    def logit_scale(self, modality: str) -> float:
        """The factor that the unit vectors of a modality are multiplied by; 1 for vision."""
        parts = self.modality_postprocessors[modality].children()
        factors = [part.factor().item() for part in parts if isinstance(part, LogitScale)]
        return factors[0] if factors else 1.0

    def cast(self, dtype: torch.dtype) -> ImageBind:
        """Weights of stems, trunks and heads in `dtype`, in place; scales stay in float32."""
        for part in (self.modality_preprocessors, self.modality_trunks, self.modality_heads):
            part.to(dtype)
        return self

    def features(self, modality: str, x: Tensor) -> Tensor:
        """(B, embed_dim) head output before normalisation, of an input without a clip axis."""
        if modality not in self.modality_trunks:
            raise ValueError(
                f"this model has no {modality!r} trunk; it has {', '.join(self.modality_trunks)}"
            )
        stem = self.modality_preprocessors[modality]
        if x.is_floating_point():
            x = x.to(next(stem.parameters()).dtype)
        trunk, head = self.modality_trunks[modality], self.modality_heads[modality]
        return head(trunk(stem(x), stem.mask), x) if modality == "text" else head(trunk(stem(x)))
