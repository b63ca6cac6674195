"""Sizes of a Detic, read off its checkpoint, and what the released ones have in common."""

import re
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from bindplug.errors import BindplugError

PREFIX = "backbone.bottom_up."
# A key of a block: its stage, the kind of the stage, and the number of the block.
BLOCK = re.compile(
    PREFIX + r"((layers\.|base\.stages_|base\.layer|base\.blocks\.)\d(?:\.blocks)?)\.(\d+)\."
)
# Of each kind the backbone's name, and a tensor of a block with as many rows as its width.
BACKBONES = {
    "layers.": ("swin", "norm1.weight"),
    "base.stages_": ("convnext", "gamma"),
    "base.layer": ("resnet", "conv1.weight"),
}
LITE0 = ("tf_efficientnet_lite0", (1, 2, 2, 3, 3, 4, 1))  # timm's name and depths
# Every released Detic classifies in CLIP ViT-B/32's space; sizes are its own, the threshold is
# that of the authors' demo for custom vocabularies, and so is which boxes of one class are kept.
RELEASED = {
    "space": "openai-clip-vit-b-32",
    "short_side": 800,
    "long_side": 1333,
    "threshold": 0.3,
    "nms_iou": 0.5,
    "nms_inside": 1.0,
    "templates": ["a {}"],  # of the names that made its own classifiers
}


@dataclass(frozen=True)
class NMS:
    """Which boxes give way to a better one of their class.

    Args:
        iou: a box is dropped when its intersection over union with a better one is more than this.
        inside: a box is dropped when more than this share of its area lies in a better one, as
            parts of a thing do; 1.0 drops none, as in released models.

    Raises ValueError: a number that is not above 0 and at most 1."""

    iou: float = 0.5
    inside: float = 1.0

    def __post_init__(self):
        for name, value in (("iou", self.iou), ("inside", self.inside)):
            if not 0 < value <= 1:
                raise ValueError(f"nms_{name} is {value}; give a number above 0, at most 1")


@dataclass(frozen=True)
class DeticConfig:
    """Detic of the CenterNet2 family; the defaults are the heads of every released model.

    Args:
        backbone: resnet, convnext, swin, or a timm model's name, with maps of strides 8 to 32.
        depths: blocks of each stage.
        widths: channels of the stages, at least the last three; of a bottleneck, the inner width.
        heads: of the stages' attention, swin only.
        bottleneck: resnet only.
        region_width: channels of the region map (`RegionHead`); 0: none, as in released models.
        region_classes: of the classifier that was pretrained with it.
    """

    backbone: str
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    heads: tuple[int, ...] = ()
    bottleneck: bool = False
    fpn_width: int = 256
    fc_width: int = 1024
    embed_dim: int = 512
    mask_width: int = 256
    mask_convs: int = 4
    region_width: int = 0
    region_classes: int = 0

    @property
    def map_widths(self) -> tuple[int, ...]:
        """Channels of the three maps that the backbone hands to the FPN, strides 8, 16, 32."""
        expansion = 4 if self.bottleneck else 1
        return tuple(w * expansion for w in self.widths[-3:])


def config_from_state(state: dict[str, Tensor]) -> DeticConfig:
    """The configuration that a state dict with upstream keys was made from. Raises BindplugError:
    the keys are not those of a Detic of the CenterNet2 family."""
    depths, kind = {}, "base.layer"
    for key in state:
        if match := BLOCK.match(key):
            stage, kind, block = match.groups()
            depths[stage] = max(depths.get(stage, 0), int(block) + 1)
    backbone, tensor = BACKBONES.get(kind, ("", ""))

    def rows(key: str) -> int:
        return state[key].shape[0]

    try:
        counts = tuple(depths[stage] for stage in sorted(depths))
        is_whole = len(depths) == 4 if backbone else counts == LITE0[1]
        if not is_whole:
            raise KeyError(f"{PREFIX}{kind}1")
        stages = [f"{PREFIX}{stage}.0" for stage in sorted(depths)]
        if backbone:
            widths = tuple(rows(f"{stage}.{tensor}") for stage in stages)
        else:
            backbone = LITE0[0]
            widths = tuple(state[f"backbone.fpn_lateral{i}.weight"].shape[1] for i in (3, 4, 5))
        heads = "attn.relative_position_bias_table"
        mask = "roi_heads.mask_head.mask_fcn"
        return DeticConfig(
            backbone=backbone,
            depths=counts,
            widths=widths,
            heads=tuple(state[f"{s}.{heads}"].shape[1] for s in stages if f"{s}.{heads}" in state),
            bottleneck=f"{stages[0]}.conv3.weight" in state,
            fpn_width=rows("backbone.fpn_output3.weight"),
            fc_width=rows("roi_heads.box_head.0.fc1.weight"),
            embed_dim=rows("roi_heads.box_predictor.0.cls_score.linear.weight"),
            mask_width=rows(mask + "1.weight"),
            mask_convs=sum(k.startswith(mask) and k.endswith(".weight") for k in state),
            region_width=len(state.get("backbone.region.weight", ())),
            region_classes=len(state.get("roi_heads.region.classifier.weight", ())),
        )
    except KeyError as err:
        raise BindplugError(
            f"not a Detic (CenterNet2) checkpoint: no tensor {err.args[0]!r}"
        ) from err


def own_vocabulary(rows: np.ndarray | None) -> tuple[tuple[str, ...], np.ndarray | None]:
    """The names of a checkpoint's own classifier, and its rows (C, 512).

    A classifier of 1,203 rows is LVIS v1's, in its order; the names of any other are not in the
    file, so it gives () and None.
    """
    from bindplug.bridge.vocabulary import read_vocabulary

    names = tuple(read_vocabulary("lvis"))
    return ((), None) if rows is None or len(rows) != len(names) else (names, rows)
