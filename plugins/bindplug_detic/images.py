"""Images in and masks out, in Detic's conventions."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from bindplug.errors import BindplugError

MEAN = (123.675, 116.28, 103.53)  # RGB, 0..255
STD = (58.395, 57.12, 57.375)
DIVISIBLE = 32
MOST_MASK_BYTES = 4_000_000_000


def network_size(height: int, width: int, short_side: int, long_side: int) -> tuple[int, int]:
    """Height and width with the shorter side at `short_side` and the longer at most `long_side`."""
    scale = short_side / min(height, width)
    new_h, new_w = (short_side, scale * width) if height < width else (scale * height, short_side)
    if max(new_h, new_w) > long_side:
        shrink = long_side / max(new_h, new_w)
        new_h, new_w = new_h * shrink, new_w * shrink
    return max(1, int(new_h + 0.5)), max(1, int(new_w + 0.5))


def resize(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8, by PIL's antialiased bilinear filter, rounded to 8 bits."""
    if rgb.shape[:2] == (height, width):
        return rgb
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def to_tensor(rgb: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 to (1, 3, H', W') float32: normalised, then zero-padded to 32 n."""
    x = torch.from_numpy(rgb.astype(np.float32)).permute(2, 0, 1)
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    height, width = rgb.shape[:2]
    return F.pad((x - mean) / std, (0, -width % DIVISIBLE, 0, -height % DIVISIBLE))[None]


def paste_masks(masks: Tensor, boxes: Tensor, height: int, width: int) -> np.ndarray:
    """(n, 28, 28) probabilities in their boxes to (n, height, width) bool, at 0.5.

    Each is sampled only inside its box grown by a pixel, which is all it can reach.
    Raises BindplugError: they would need more than MOST_MASK_BYTES."""
    if len(masks) * height * width > MOST_MASK_BYTES:
        raise BindplugError(
            f"the masks of {len(masks)} objects on {width} x {height} pixels would take "
            f"{len(masks) * height * width / 1e9:.0f} GB; ask for fewer objects, raise the "
            "threshold or shrink the image"
        )
    out = np.zeros((len(masks), height, width), dtype=bool)
    for i, (mask, box) in enumerate(zip(masks.float().cpu(), boxes.float().cpu(), strict=True)):
        x0, y0 = (int(v) for v in (box[:2].floor() - 1).clamp(min=0))
        x1, y1 = (min(int(v), n) for v, n in zip(box[2:].ceil() + 1, (width, height), strict=True))
        if x1 <= x0 or y1 <= y0:
            continue
        x = (torch.arange(x0, x1) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
        y = (torch.arange(y0, y1) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
        grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)
        inside = F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]
        out[i, y0:y1, x0:x1] = (inside >= 0.5).numpy()
    return out
