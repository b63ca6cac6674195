"""Video files: frames to the clips that the vision trunk reads, and the soundtrack.

The numbers follow ImageBind's released data pipeline (clips, frames, scaling, three crops).
"""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BindplugError
from ..imagebind.config import VisionConfig
from ..storage.source import reopenable, source_name, to_array
from .clips import CLIP_SECONDS, clip_count, spread
from .media import count_frames, pick_frames
from .vision import normalise

CLIPS = 5


def clip_frames(count: int, fps: float, clips: int) -> list[tuple[int, int, float, float]]:
    """(first frame, last frame, start, end in seconds) of clips of 2 s spread over a video.

    Args:
        count: frames of the video.
        fps: its average rate in Hz.
    """
    out = []
    for start in spread(count / fps - CLIP_SECONDS, clips):
        end = start + CLIP_SECONDS
        last = min(math.ceil(fps * end), count) - 1
        out.append((min(math.ceil(fps * start), last), last, float(start), float(end)))
    return out


def frames_to_clips(
    get: Callable[[int], np.ndarray], count: int, fps: float, size: int, clips: int,
    scale: Callable[[Tensor], Tensor] = normalise,
) -> tuple[Tensor, list[tuple[float, float]]]:  # fmt: skip
    """Clips of a video: (clips * 3, 3, 2, size, size) float32, and the seconds each clip spans.

    From each clip its first and last frame, of these three squares along the longer side.

    Args:
        get: a frame's number to the frame, (H, W, 3) uint8 RGB.
        count, fps, clips: as in `clip_frames`.
        scale: (n, 3, H, W) RGB in [0, 1] to what the network takes.
    """
    bounds = clip_frames(count, fps, clips)
    out = []
    for first, last, _, _ in bounds:  # each frame by itself: a stream may change its size
        pair = (torch.from_numpy(get(i)).permute(2, 0, 1)[None].float() for i in (first, last))
        both = zip(*(_crops(frame, size, scale) for frame in pair), strict=True)
        out.extend(torch.cat(crops, dim=1) for crops in both)
    return torch.stack(out), [(start, end) for _, _, start, end in bounds]


def _crops(frames: Tensor, size: int, scale: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """(n, 3, H, W) in 0..255 to three (3, n, size, size): start, middle, end of the long side."""
    height, width = frames.shape[-2:]
    if width < height:
        height, width = math.floor(height / width * size), size
    else:
        height, width = size, math.floor(width / height * size)
    # As released: divided first, and scaled without antialiasing.
    x = F.interpolate(frames / 255, (height, width), mode="bilinear", align_corners=False)
    x = scale(x).transpose(0, 1)
    spare = max(height, width) - size
    offsets = (0, math.ceil(spare / 2), spare)
    return [x.narrow(-2 if height > width else -1, offset, size) for offset in offsets]


def transform_video(
    source, config: VisionConfig, clips: int | str = "reference"
) -> tuple[Tensor, list[tuple[float, float]]]:
    """A video file to (clips * 3, 3, 2, S, S) float32, and the seconds that each clip spans.

    Args:
        source: a path or binary file object that PyAV decodes, or ((T, H, W, 3) uint8 RGB frames,
            frames a second). Frames count in the order shown and share the average rate, also
            where the rate varies; a film that a phone marks as rotated is read as it is stored
            (`annotate_video` turns it upright). Both as in the reference.
        clips: "reference" (5), a number, or "all": as many as cover the video.

    Raises BindplugError: absent, no video, without frames, or damaged."""
    return read_clips(source, config.image_size, clips, normalise)


def read_clips(
    source, size: int, clips: int | str, scale: Callable[[Tensor], Tensor]
) -> tuple[Tensor, list[tuple[float, float]]]:
    """`transform_video` for frames of any size and scale (`frames_to_clips`)."""
    if isinstance(source, tuple):
        frames, fps = _frame_array(*source)
        number = clip_count(clips, len(frames) / fps, CLIPS)
        return frames_to_clips(frames.__getitem__, len(frames), fps, size, number, scale)
    name = source_name(source, "media file")
    source = reopenable(source, name, "media file")
    count, fps = count_frames(source, name)
    while True:
        number = clip_count(clips, count / fps, CLIPS)
        wanted = {i for clip in clip_frames(count, fps, number) for i in clip[:2]}
        found, decoded = pick_frames(source, name, wanted)
        if len(found) == len(wanted):
            return frames_to_clips(found.__getitem__, count, fps, size, number, scale)
        if not decoded:
            raise BindplugError(f"{name}: holds no video frames")
        count = decoded  # fewer frames than packets


def _frame_array(frames, fps) -> tuple[np.ndarray, float]:
    frames = to_array(frames, "video array")
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise BindplugError(
            f"video array of shape {frames.shape} {frames.dtype}; give (T, H, W, 3) uint8 RGB"
        )
    if not (isinstance(fps, (int, float, np.number)) and 0 < fps < np.inf):
        raise BindplugError(f"video array with rate {fps!r}; give a positive number of Hz")
    return frames, float(fps)
