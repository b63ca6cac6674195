"""Contrastive learning of two modalities (ImageBind, section 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imagebind import ImageBind
from .losses import soft_info_nce


def info_nce(a: Tensor, b: Tensor, scale: Tensor | float) -> Tensor:
    """Symmetric InfoNCE: the mean of the cross-entropies of matching rows and columns.

    Of logits = scale * a b^T with unit rows, the diagonal is right (ImageBind, eq. 1, both ways).

    Args:
        a, b: (B, D) features, normalised here; row i of one belongs to row i of the other.
        scale: 1 / temperature.

    Returns:
        A scalar.
    """
    return soft_info_nce(scale * F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T)


def encode_with_fewer_tokens(
    model: ImageBind, modality: str, x: Tensor, keep: float, generator: torch.Generator
) -> Tensor:
    """(B, embed_dim) head features from a random subset of the patches, another for each sample.

    Args:
        x: input of the modality, without a clip axis.
        keep: share of the patch tokens that are kept; the class token always is. 1 or more keeps
            all of them.
        generator: of the subsets, on the CPU.
    """
    if keep >= 1:
        return model.features(modality, x)
    tokens = model.modality_preprocessors[modality](x)
    batch, count, width = tokens.shape
    order = torch.rand(batch, count - 1, generator=generator).argsort(dim=1)
    kept = order[:, : max(1, round(keep * (count - 1)))].to(x.device) + 1
    patches = tokens.gather(1, kept[..., None].expand(-1, -1, width))
    tokens = model.modality_trunks[modality](torch.cat([tokens[:, :1], patches], dim=1))
    return model.modality_heads[modality](tokens)
