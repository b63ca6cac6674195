"""Sizes of a Detic model, read off the names and shapes of its checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor

from bindplug.errors import BindplugError

PREFIX = "backbone.bottom_up."


@dataclass(frozen=True)
class DeticConfig:
    """Detic of the CenterNet2 family; the defaults are the heads of every released model."""

    backbone: str  # resnet, convnext or swin
    depths: tuple[int, ...]
    widths: tuple[int, ...]  # of the four stages; of a bottleneck, its inner width
    heads: tuple[int, ...] = ()  # swin only
    bottleneck: bool = False  # resnet only
    fpn_width: int = 256
    fc_width: int = 1024
    embed_dim: int = 512
    mask_width: int = 256
    mask_convs: int = 4

    @property
    def map_widths(self) -> tuple[int, ...]:
        """Channels of the three maps that the backbone hands to the FPN, strides 8, 16, 32."""
        expansion = 4 if self.bottleneck else 1
        return tuple(w * expansion for w in self.widths[1:])


def _counts(state: dict, pattern: str) -> tuple[int, ...]:
    """How many blocks each stage has; `pattern` captures the stage and the block."""
    found: dict[int, int] = {}
    for key in state:
        if match := re.match(re.escape(PREFIX) + pattern, key):
            stage, block = map(int, match.groups())
            found[stage] = max(found.get(stage, 0), block + 1)
    return tuple(found[s] for s in sorted(found))


def config_from_state(state: dict[str, Tensor]) -> DeticConfig:
    """The configuration that a state dict with upstream keys was made from.

    Raises:
        BindplugError: the keys are not those of a Detic of the CenterNet2 family.
    """

    def rows(key: str) -> int:
        return state[key].shape[0]

    try:
        if PREFIX + "patch_embed.proj.weight" in state:
            depths = _counts(state, r"layers\.(\d+)\.blocks\.(\d+)\.")
            width = rows(PREFIX + "patch_embed.proj.weight")
            table = PREFIX + "layers.{}.blocks.0.attn.relative_position_bias_table"
            backbone = {
                "backbone": "swin",
                "depths": depths,
                "widths": tuple(width * 2**i for i in range(len(depths))),
                "heads": tuple(state[table.format(i)].shape[1] for i in range(len(depths))),
            }
        elif PREFIX + "base.stem_0.weight" in state:
            depths = _counts(state, r"base\.stages_(\d+)\.blocks\.(\d+)\.")
            gamma = PREFIX + "base.stages_{}.blocks.0.gamma"
            backbone = {
                "backbone": "convnext",
                "depths": depths,
                "widths": tuple(rows(gamma.format(i)) for i in range(len(depths))),
            }
        else:
            depths = _counts(state, r"base\.layer(\d+)\.(\d+)\.")
            conv = PREFIX + "base.layer{}.0.conv1.weight"
            backbone = {
                "backbone": "resnet",
                "depths": depths,
                "widths": tuple(rows(conv.format(i + 1)) for i in range(len(depths))),
                "bottleneck": PREFIX + "base.layer1.0.conv3.weight" in state,
            }
            if len(depths) != 4:
                raise KeyError(conv.format(1))
        mask = "roi_heads.mask_head.mask_fcn"
        return DeticConfig(
            **backbone,
            fpn_width=rows("backbone.fpn_output3.weight"),
            fc_width=rows("roi_heads.box_head.0.fc1.weight"),
            embed_dim=rows("roi_heads.box_predictor.0.cls_score.linear.weight"),
            mask_width=rows(mask + "1.weight"),
            mask_convs=sum(k.startswith(mask) and k.endswith(".weight") for k in state),
        )
    except KeyError as err:
        raise BindplugError(
            f"not a Detic (CenterNet2) checkpoint: no tensor {err.args[0]!r}"
        ) from err
