"""Pre-norm transformer blocks with torch.nn.MultiheadAttention's parameter names, batch first."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def normal_(tensor: Tensor, std: float) -> None:
    """Fill from a normal distribution; on the meta device do nothing, where torch's own `normal_`
    would first import its compiler, which takes longer than all the rest of loading."""
    if not tensor.is_meta:
        nn.init.normal_(tensor, std=std)


class Attention(nn.MultiheadAttention):
    """Multi-head self-attention, (B, L, W) to (B, L, W).

    `bias_kv` appends one learnt key and value to every sequence. `mask` is added to the (L, L)
    logits."""

    def __init__(self, width: int, heads: int, bias_kv: bool = False):
        super().__init__(width, heads, batch_first=True)
        if bias_kv:  # by `normal_`: torch's own initialisation is as slow on the meta device
            for name in ("bias_k", "bias_v"):
                setattr(self, name, nn.Parameter(torch.empty(1, 1, width)))
                normal_(getattr(self, name), width**-0.5)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # Weights take the unfused path: the backward pass of the fused CPU kernel costs more.
        options = {"need_weights": self.training, "average_attn_weights": False}
        return super().forward(x, x, x, attn_mask=mask, **options)[0]


class MLP(nn.Module):
    """Linear, GELU, linear, with four times the width between: (B, L, W) to (B, L, W)."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): drop whole samples' residual branch in training."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = torch.empty(len(x), 1, 1, device=x.device, dtype=x.dtype).bernoulli_(1 - self.rate)
        return x * keep / (1 - self.rate)


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)): (B, L, W) to (B, L, W)."""

    def __init__(self, width: int, heads: int, bias_kv: bool, drop_path: float):
        super().__init__()
        self.attn = Attention(width, heads, bias_kv)
        self.norm_1 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width)
        self.norm_2 = nn.LayerNorm(width, eps=1e-6)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm_1(x), mask))
        return x + self.drop_path(self.mlp(self.norm_2(x)))


class Transformer(nn.Module):
    """A trunk: (B, L, W) tokens to (B, L, W) tokens; the final norm belongs to the head.

    Args:
        width, depth, heads: of the blocks.
        bias_kv: as in `Attention`.
        pre_norm: normalise the tokens before the first block.
        drop_path: drop rate of the last block, rising linearly from 0.
    """

    def __init__(self, width, depth, heads, *, bias_kv=False, pre_norm=False, drop_path=0.0):
        super().__init__()
        self.pre_transformer_layer = (
            nn.Sequential(nn.LayerNorm(width, eps=1e-6)) if pre_norm else nn.Identity()
        )
        last = max(depth - 1, 1)
        self.blocks = nn.ModuleList(
            Block(width, heads, bias_kv, drop_path * i / last) for i in range(depth)
        )

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        tokens = self.pre_transformer_layer(tokens)
        for block in self.blocks:
            tokens = block(tokens, mask)
        return tokens
