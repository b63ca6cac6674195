"""From an input tensor of one modality to tokens: patches, class token, positions.

Attribute names follow the released state dict, which is why audio and thermal stems are called
`rgbt_stem` and why some stems hold their convolution at index 1.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import AudioConfig, DepthConfig, IMUConfig, TextConfig, ThermalConfig, VisionConfig
from .transformer import normal_


class RepeatFrame(nn.Module):
    """(B, 3, H, W) or (B, 3, T, H, W) to (B, 3, T, H, W); one frame is repeated `frames` times."""

    def __init__(self, frames: int):
        super().__init__()
        self.frames = frames

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            x = x.unsqueeze(2)
        return x.expand(-1, -1, self.frames, -1, -1) if x.shape[2] == 1 else x


class PatchEmbed(nn.Module):
    """A projection to (B, N, W) tokens, row-major, and a layer norm where `norm_width` is given."""

    def __init__(self, proj: nn.Module, norm_width: int | None = None):
        super().__init__()
        self.proj = proj
        self.norm_layer = nn.LayerNorm(norm_width) if norm_width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm_layer(self.proj(x).flatten(2).transpose(1, 2))


def _learnt(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.zeros(shape), std=0.02))


class PositionTable(nn.Module):
    """Learnt positions: (1, tokens, width), the class token's first."""

    def __init__(self, tokens: int, width: int):
        super().__init__()
        self.pos_embed = _learnt(1, tokens, width)

    def for_tokens(self, count: int) -> Tensor:
        """(1, 1 + count, width) positions of the class token and `count` patches of a square image.

        Another count than the table's is interpolated (bicubic), as the reference does; ValueError
        where one of the two is no square."""
        table = self.pos_embed
        known = table.shape[1] - 1
        if count == known:
            return table
        side, new_side = math.isqrt(known), math.isqrt(count)
        if side * side != known or new_side * new_side != count:
            raise ValueError(
                f"got {count} patches, the position table has {known}; "
                "only square images can be interpolated"
            )
        grid = table[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, scale_factor=math.sqrt(count / known), mode="bicubic")
        return torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


class PatchStem(nn.Module):
    """Vision, audio, depth and thermal: (B, 1 + N, width) of a class token and N patches.

    Args:
        name: attribute that holds `embed`, as in the released state dict.
        tokens: N of the position table.
        resizable: other square inputs are taken too, with interpolated positions.

    Raises ValueError: in `forward`, an input of a size that is not taken."""

    def __init__(
        self, name: str, embed: PatchEmbed, tokens: int, width: int, resizable: bool = True
    ):
        super().__init__()
        self.stem_name, self.tokens, self.resizable = name, tokens, resizable
        self.cls_token = _learnt(1, 1, width)
        setattr(self, name, embed)
        self.pos_embedding_helper = PositionTable(tokens + 1, width)

    def forward(self, x: Tensor) -> Tensor:
        tokens = getattr(self, self.stem_name)(x)  # (B, N, W)
        count = tokens.shape[1]
        if not self.resizable and count != self.tokens:
            raise ValueError(
                f"input of shape {tuple(x.shape)} gives {count} tokens, not {self.tokens}"
            )
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), tokens], dim=1)
        return tokens + self.pos_embedding_helper.for_tokens(count)


def vision_stem(c: VisionConfig) -> PatchStem:
    """(B, 3, H, W) or (B, 3, T, H, W) to (B, 1 + N, width)."""
    kernel = (c.frames, c.patch_size, c.patch_size)
    conv = nn.Conv3d(3, c.width, kernel, stride=kernel, bias=False)
    embed = PatchEmbed(nn.Sequential(RepeatFrame(c.frames), conv))
    return PatchStem("rgbt_stem", embed, (c.image_size // c.patch_size) ** 2, c.width)


def audio_stem(c: AudioConfig) -> PatchStem:
    """(B, 1, mel_bins, frames) to (B, 1 + N, width); mel rows major, time minor."""
    conv = nn.Conv2d(1, c.width, c.patch_size, stride=c.stride, bias=False)
    rows, columns = ((n - c.patch_size) // c.stride + 1 for n in (c.mel_bins, c.frames))
    return PatchStem("rgbt_stem", PatchEmbed(conv, c.width), rows * columns, c.width, False)


def gray_stem(name: str, c: DepthConfig | ThermalConfig) -> PatchStem:
    """(B, 1, H, W) disparity or thermal image to (B, 1 + N, width)."""
    conv = nn.Conv2d(1, c.width, c.patch_size, stride=c.patch_size, bias=False)
    patches = (c.image_size // c.patch_size) ** 2
    return PatchStem(name, PatchEmbed(conv, c.width), patches, c.width)


class IMUStem(nn.Module):
    """(B, channels, steps) to (B, 1 + steps // window, width); ValueError for other `steps`."""

    def __init__(self, c: IMUConfig):
        super().__init__()
        self.window, self.tokens = c.window, c.steps // c.window
        self.pos_embed = _learnt(1, self.tokens + 1, c.width)
        self.cls_token = _learnt(1, 1, c.width)
        self.imu_stem = PatchEmbed(nn.Linear(c.channels * c.window, c.width, bias=False), c.width)

    def forward(self, x: Tensor) -> Tensor:
        windows = x.unfold(-1, self.window, self.window)  # (B, C, N, window)
        windows = windows.transpose(1, 2).flatten(2)  # channel-major inside a window
        if windows.shape[1] != self.tokens:
            raise ValueError(
                f"IMU input of {x.shape[-1]} steps; {self.tokens * self.window} are needed"
            )
        tokens = self.imu_stem.norm_layer(self.imu_stem.proj(windows))
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), tokens], dim=1)
        return tokens + self.pos_embed


class TextStem(nn.Module):
    """(B, context_length) int64 token ids to (B, context_length, width); no class token.

    `mask` is the causal attention mask, (context_length, context_length), 0 and -inf."""

    def __init__(self, c: TextConfig):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, c.context_length, c.width))
        normal_(self.pos_embed, 0.01)
        mask = torch.full((c.context_length, c.context_length), -torch.inf).triu(1)
        self.register_buffer("mask", mask)
        table = torch.empty(c.vocab_size, c.width)
        normal_(table, 0.02)
        self.token_embedding = nn.Embedding.from_pretrained(table, freeze=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.token_embedding(ids) + self.pos_embed
