"""Initialisations from which small transformers learn several times faster than from noise."""

import torch
from torch import Tensor

from ..imagebind.transformer import Transformer


def _near_identity(width: int, alpha: float, beta: float) -> tuple[Tensor, Tensor]:
    """Factors (width, width) whose product is alpha * noise + beta * identity."""
    u, s, vh = torch.linalg.svd(
        alpha * torch.randn(width, width) / width**0.5 + beta * torch.eye(width)
    )
    return u * s.sqrt(), vh.T * s.sqrt()


@torch.no_grad()
def mimetic_init(trunk: Transformer) -> None:
    """Initialise in place: query-key products near 0.7 I, value-projection products near -0.4 I.

    Source: Trockman and Kolter, Mimetic Initialization of Self-Attention Layers, ICML 2023.
    """
    for block in trunk.blocks:
        attn = block.attn
        width = attn.out_proj.weight.shape[0]
        rank = width // attn.num_heads
        q, k, v = attn.in_proj_weight.chunk(3)
        for head in range(attn.num_heads):
            rows = slice(head * rank, (head + 1) * rank)
            left, right = _near_identity(width, 0.7, 0.7)
            q[rows], k[rows] = left[:, :rank].T, right[:, :rank].T
        left, right = _near_identity(width, 0.4, -0.4)
        v.copy_(left.T)
        attn.out_proj.weight.copy_(right)


def whitening_filters(patches: Tensor, width: int) -> Tensor:
    """(N, P) sample patches to (width, P) filters whose responses have unit variance.

    Source: principal component whitening, eigenvalues regularised by 1e-3 of the largest. The
    first rows are principal directions in falling order of variance; where `width` exceeds
    P, the rest are random.
    """
    patches = patches - patches.mean(0)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    values, vectors = values.flip(0), vectors.flip(1)
    filters = (vectors / (values + 1e-3 * values[0]).sqrt()).T[:width]
    extra = torch.randn(width - len(filters), patches.shape[1]) / patches.shape[1] ** 0.5
    return torch.cat([filters, extra])


def sine_cosine(positions: Tensor, width: int) -> Tensor:
    """(N, A) positions on A axes to (N, width) sines and cosines (arXiv 1706.03762, section 3.5).

    Each axis has width / 2A frequencies from 1 towards 1 / 10,000; what is left of the width is 0.
    """
    per_axis = width // (2 * positions.shape[1])
    frequency = 1 / 10_000 ** (torch.arange(per_axis) / per_axis)
    angles = positions[..., None] * frequency  # (N, A, per_axis)
    table = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return torch.nn.functional.pad(table, (0, width - table.shape[1]))
