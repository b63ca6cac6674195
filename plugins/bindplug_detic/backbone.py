"""Backbone and feature pyramid: (B, 3, H, W) to maps p3 ... p7 of strides 8 ... 128."""

from importlib.metadata import PackageNotFoundError, version

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bindplug.errors import MissingDependency

from .config import DeticConfig
from .swin import Swin


def require_timm() -> None:
    """Raises MissingDependency: no timm, or one that is older than 1.0, whose networks differ."""
    try:
        found = version("timm")
    except PackageNotFoundError:
        found = "0 (none)"
    if int(found.split(".")[0].split()[0]) < 1:
        raise MissingDependency(
            f"native Detic needs timm 1.0 or later, here is {found}; run: pip install 'timm>=1.0', "
            "or keep it for detectron2's Detic and use bindplug_detic.patched"
        )


class UnbiasedChannelNorm(nn.LayerNorm):
    """Channel norm by the unbiased variance, as in timm 0.5.4, with which Detic was trained."""

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, unbiased=True)
        x = (x - mean) * torch.rsqrt(variance + self.eps)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class TimmBackbone(nn.Module):
    """timm's ResNet, its ConvNeXt with the downsampling norms of its early versions, or another
    of its models by name."""

    def __init__(self, config: DeticConfig):
        super().__init__()
        require_timm()
        import timm
        from timm.models.resnet import BasicBlock, Bottleneck

        if config.backbone == "resnet":
            self.base = timm.create_model(
                "resnet18", features_only=True, out_indices=(2, 3, 4), layers=config.depths,
                channels=config.widths, block=Bottleneck if config.bottleneck else BasicBlock,
            )  # fmt: skip
            return
        if config.backbone != "convnext":
            self.base = timm.create_model(
                config.backbone, features_only=True, out_indices=(2, 3, 4)
            )
            return
        self.base = timm.create_model(
            "convnext_tiny", features_only=True, out_indices=(1, 2, 3), depths=config.depths,
            dims=config.widths,
        )  # fmt: skip
        for i in (1, 2, 3):
            stage = getattr(self.base, f"stages_{i}")
            stage.downsample[0] = UnbiasedChannelNorm(config.widths[i - 1], eps=1e-6)

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.base(x)


def fold_norms(net: nn.Module) -> None:
    """Fold a ResNet's frozen norms into the convolutions before them, for good."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in list(net.modules()):
        for i in (1, 2, 3):
            if hasattr(module, f"conv{i}"):
                conv, norm = getattr(module, f"conv{i}"), getattr(module, f"bn{i}")
                setattr(module, f"conv{i}", fuse_conv_bn_eval(conv, norm))
                setattr(module, f"bn{i}", nn.Identity())
        if getattr(module, "downsample", None) is not None:
            module.downsample = fuse_conv_bn_eval(*module.downsample)


class FPN(nn.Module):
    """Feature pyramid (Lin et al., CVPR 2017) with two more levels on p5, and after these, where
    the configuration has one, the region map: a pretrained network's last layer, of stride 32."""

    def __init__(self, config: DeticConfig):
        super().__init__()
        width = config.fpn_width
        for level, channels in zip((3, 4, 5), config.map_widths, strict=True):
            setattr(self, f"fpn_lateral{level}", nn.Conv2d(channels, width, 1))
            setattr(self, f"fpn_output{level}", nn.Conv2d(width, width, 3, padding=1))
        convs = {n: nn.Conv2d(width, width, 3, stride=2, padding=1) for n in ("p6", "p7")}
        self.top_block = nn.ModuleDict(convs)
        if config.region_width:
            self.region = nn.Conv2d(config.map_widths[-1], config.region_width, 1)
        swin = config.backbone == "swin"
        self.bottom_up = Swin(config) if swin else TimmBackbone(config)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.bottom_up(x)
        region = [F.relu6(self.region(maps[-1]))] if hasattr(self, "region") else []
        return self.merge(maps) + region

    def merge(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps of strides 8, 16, 32 to p3 ... p7."""
        out, top = [], 0
        for level, x in reversed(list(enumerate(maps, 3))):
            if out:
                top = F.interpolate(top, scale_factor=2.0, mode="nearest")
            top = getattr(self, f"fpn_lateral{level}")(x) + top
            out.insert(0, getattr(self, f"fpn_output{level}")(top))
        p6 = self.top_block.p6(out[-1])
        return [*out, p6, self.top_block.p7(F.relu(p6))]
