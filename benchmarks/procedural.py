"""A full-size checkpoint whose numbers follow from its keys, for measuring without the real one.

python benchmarks/procedural.py imagebind_huge.pth      (4.8 GB)
"""

from __future__ import annotations

import argparse
import math
import zlib
from pathlib import Path

import numpy as np
import torch

from bindplug.imagebind import ImageBind, imagebind_huge

POSITIONS = ("pos_embed", "cls_token", "bias_k", "bias_v")


def tensor(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Uniform numbers from the key's CRC, scaled so that every layer keeps its signal."""
    count = math.prod(shape)
    words = np.random.PCG64(zlib.crc32(key.encode())).random_raw((count + 1) // 2)
    words = words.astype("<u8").view("<u4")[:count]
    u = (words >> np.uint32(8)).astype(np.float32) * np.float32(2**-24) - np.float32(0.5)
    leaf = key.rsplit(".", 1)[-1]
    if leaf in POSITIONS or "token_embedding" in key:
        scaled = u
    elif len(shape) >= 2:
        scaled = u * np.float32(np.sqrt(12.0 / math.prod(shape[1:])))
    elif leaf.endswith("bias"):
        scaled = u * np.float32(0.4)
    else:
        scaled = np.float32(1) + u * np.float32(0.4)
    return torch.from_numpy(scaled.reshape(shape))


def state() -> dict[str, torch.Tensor]:
    """imagebind_huge's state dict; the mask and the scales are as they are initialised."""
    from bindplug.imagebind.stems import TextStem

    config = imagebind_huge()
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in ImageBind(config).state_dict().items()}
    mask = TextStem(config.text).mask
    scales = {"text": 1 / 0.07, "audio": 20.0, "depth": 5.0, "thermal": 10.0, "imu": 5.0}
    out = {}
    for key, shape in shapes.items():
        if key.endswith("text.mask"):
            out[key] = mask
        elif key.endswith("log_logit_scale"):
            out[key] = torch.tensor(math.log(scales[key.split(".")[1]]))
        else:
            out[key] = tensor(key, shape)
    return out


def save(path: Path) -> Path:
    """Write the checkpoint unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".part")
        torch.save(state(), scratch)
        scratch.rename(path)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    print(save(parser.parse_args().path))
