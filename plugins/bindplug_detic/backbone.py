"""Backbone and feature pyramid: (B, 3, H, W) to maps p3 ... p7 of strides 8 ... 128."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bindplug.errors import MissingDependency

from .config import DeticConfig
from .swin import Swin


def require_timm() -> None:
    """
    Raises:
        MissingDependency: no timm, or one that is older than 1.0, whose networks differ.
    """
    try:
        found = version("timm")
    except PackageNotFoundError:
        found = "0 (none)"
    if int(found.split(".")[0].split()[0]) < 1:
        raise MissingDependency(
            f"native Detic needs timm 1.0 or later, here is {found}; run: pip install 'timm>=1.0', "
            "or keep it for detectron2's Detic and use bindplug_detic.patched"
        )


class ResNet(nn.Module):
    """timm's ResNet under torchvision's names, without its classifier."""

    def __init__(self, config: DeticConfig):
        super().__init__()
        require_timm()
        from timm.models import resnet

        block = resnet.Bottleneck if config.bottleneck else resnet.BasicBlock
        self.base = resnet.ResNet(block, config.depths, num_classes=0, channels=config.widths)

    def forward(self, x: Tensor) -> list[Tensor]:
        base = self.base
        x = base.layer1(base.maxpool(base.act1(base.bn1(base.conv1(x)))))
        maps = []
        for layer in (base.layer2, base.layer3, base.layer4):
            x = layer(x)
            maps.append(x)
        return maps

    def fold_norms(self) -> None:
        """Fold the frozen norms into the convolutions before them, for good."""
        from torch.nn.utils.fusion import fuse_conv_bn_eval

        base = self.base
        base.conv1, base.bn1 = fuse_conv_bn_eval(base.conv1, base.bn1), nn.Identity()
        for block in (b for i in range(1, 5) for b in getattr(base, f"layer{i}")):
            for i in (1, 2, 3) if hasattr(block, "conv3") else (1, 2):
                conv, norm = getattr(block, f"conv{i}"), getattr(block, f"bn{i}")
                setattr(block, f"conv{i}", fuse_conv_bn_eval(conv, norm))
                setattr(block, f"bn{i}", nn.Identity())
            if block.downsample is not None:
                block.downsample = fuse_conv_bn_eval(*block.downsample)


class UnbiasedChannelNorm(nn.LayerNorm):
    """Channel norm by the unbiased variance, as in timm 0.5.4, with which Detic was trained."""

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, unbiased=True)
        x = (x - mean) * torch.rsqrt(variance + self.eps)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class ConvNeXt(nn.Module):
    """timm's ConvNeXt, features only, with the downsampling norms of its early versions."""

    def __init__(self, config: DeticConfig):
        super().__init__()
        require_timm()
        import timm

        self.base = timm.create_model(
            "convnext_tiny",
            features_only=True,
            out_indices=(1, 2, 3),
            depths=config.depths,
            dims=config.widths,
        )
        for i in (1, 2, 3):
            downsample = getattr(self.base, f"stages_{i}").downsample
            downsample[0] = UnbiasedChannelNorm(config.widths[i - 1], eps=1e-6)

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.base(x)


def bottom_up(config: DeticConfig) -> nn.Module:
    if config.backbone == "swin":
        return Swin(config.depths, config.widths, config.heads)
    return {"resnet": ResNet, "convnext": ConvNeXt}[config.backbone](config)


class TopBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.p6 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, p5: Tensor) -> list[Tensor]:
        p6 = self.p6(p5)
        return [p6, self.p7(F.relu(p6))]


class FPN(nn.Module):
    """Feature pyramid (Lin et al., CVPR 2017) with two more levels on p5."""

    def __init__(self, config: DeticConfig):
        super().__init__()
        width = config.fpn_width
        for level, channels in zip((3, 4, 5), config.map_widths, strict=True):
            setattr(self, f"fpn_lateral{level}", nn.Conv2d(channels, width, 1))
            setattr(self, f"fpn_output{level}", nn.Conv2d(width, width, 3, padding=1))
        self.top_block = TopBlock(width)
        self.bottom_up = bottom_up(config)

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.merge(self.bottom_up(x))

    def merge(self, bottom_up: list[Tensor]) -> list[Tensor]:
        """Maps of strides 8, 16, 32 to p3 ... p7."""
        maps = dict(zip((3, 4, 5), bottom_up, strict=True))
        out: dict[int, Tensor] = {}
        above = None
        for level in (5, 4, 3):
            top = getattr(self, f"fpn_lateral{level}")(maps[level])
            if above is not None:
                top = top + F.interpolate(above, scale_factor=2.0, mode="nearest")
            out[level] = getattr(self, f"fpn_output{level}")(top)
            above = top
        return [out[3], out[4], out[5], *self.top_block(out[5])]
