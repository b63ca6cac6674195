"""Swin Transformer as Detic uses it: windows padded before the roll, a norm on each output map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.swin_transformer import PatchMerging

from bindplug.imagebind.transformer import MLP

from .config import DeticConfig

WINDOW, SHIFT = 7, 3


def relative_position_index() -> Tensor:
    """(49, 49) int64: row of the bias table for (query, key) inside a window."""
    at = torch.cartesian_prod(torch.arange(WINDOW), torch.arange(WINDOW))
    offset = at[:, None] - at[None] + WINDOW - 1
    return offset[..., 0] * (2 * WINDOW - 1) + offset[..., 1]


def windows(x: Tensor) -> Tensor:
    """(B, H, W, C) to (B * number of windows, 49, C), row-major."""
    x = x.unflatten(1, (-1, WINDOW)).unflatten(3, (-1, WINDOW))  # (B, h, 7, w, 7, C)
    return x.transpose(2, 3).flatten(0, 2).flatten(1, 2)


def unwindows(x: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `windows`."""
    x = x.view(-1, height // WINDOW, width // WINDOW, WINDOW, WINDOW, x.shape[-1])
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def shift_mask(height: int, width: int, device) -> Tensor:
    """(windows, 1, 49, 49): -100 between positions that the roll brought together."""

    def label(size: int) -> Tensor:
        line = torch.zeros(size, device=device)
        line[-WINDOW:-SHIFT], line[-SHIFT:] = 1, 2
        return line

    labels = label(height)[:, None] * 3 + label(width)
    flat = windows(labels[None, ..., None])[..., 0]
    return torch.where(flat[:, None, :, None] == flat[:, None, None, :], 0.0, -100.0)


class WindowAttention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_position_index())
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:  # (B * windows, 49, C)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index]
        bias = bias.permute(2, 0, 1)[None]
        if mask is not None:
            bias = (bias + mask).repeat(len(x) // len(mask), 1, 1, 1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return self.proj(out.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, shifted: bool):
        super().__init__()
        self.shifted = shifted
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width)

    def forward(self, x: Tensor) -> Tensor:  # (B, H, W, C)
        height, width = x.shape[1:3]
        y = F.pad(self.norm1(x), (0, 0, 0, -width % WINDOW, 0, -height % WINDOW))
        rows, columns = y.shape[1:3]
        mask = None
        if self.shifted:
            y, mask = y.roll((-SHIFT, -SHIFT), (1, 2)), shift_mask(rows, columns, y.device)
        y = unwindows(self.attn(windows(y), mask), rows, columns)
        if self.shifted:
            y = y.roll((SHIFT, SHIFT), (1, 2))
        x = x + y[:, :height, :width]
        return x + self.mlp(self.norm2(x))


class Stage(nn.Module):
    def __init__(self, width: int, depth: int, heads: int, last: bool):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, i % 2 == 1) for i in range(depth))
        self.downsample = None if last else PatchMerging(width)


class Swin(nn.Module):
    """(B, 3, H, W) to three maps of strides 8, 16 and 32 (Liu et al., ICCV 2021)."""

    def __init__(self, config: DeticConfig):
        super().__init__()
        sizes = list(zip(config.widths, config.depths, config.heads, strict=True))
        width = config.widths[0]
        self.patch_embed = nn.ModuleDict(
            {"proj": nn.Conv2d(3, width, 4, stride=4), "norm": nn.LayerNorm(width)}
        )
        self.layers = nn.ModuleList(Stage(*s, last=s is sizes[-1]) for s in sizes)
        for i in range(1, len(sizes)):
            setattr(self, f"norm{i}", nn.LayerNorm(config.widths[i]))

    def forward(self, x: Tensor) -> list[Tensor]:
        x, maps = self.patch_embed.norm(self.patch_embed.proj(x).permute(0, 2, 3, 1)), []
        for i, stage in enumerate(self.layers):
            for block in stage.blocks:
                x = block(x)
            if i:
                maps.append(getattr(self, f"norm{i}")(x).permute(0, 3, 1, 2).contiguous())
            if stage.downsample is not None:
                x = stage.downsample(x)
        return maps
