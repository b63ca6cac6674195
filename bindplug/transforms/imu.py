"""Inertial measurements to 2000 steps at 400 Hz.

The paper says 6 channels, accelerometer and gyroscope, and 5 s that become 2000 steps, which is
400 Hz. The order of the channels, their units and a normalisation are unpublished: here they are
accelerometer X Y Z, then gyroscope X Y Z, in m/s² and rad/s as Ego4D records them, as they are.
"""

import csv
import io
import math
import os

import numpy as np
import torch
from torch import Tensor

from ..errors import BindplugError, check_choice
from ..imagebind.config import IMUConfig
from ..storage.source import decoding, open_source, source_name, to_array
from .clips import clip_count, spread

RATE = 400  # Hz
ACCELERATION = {"m/s2": 1.0, "g": 9.80665}
ROTATION = {"rad/s": 1.0, "deg/s": math.pi / 180}


def transform_imu(
    source,
    config: IMUConfig,
    rate: float | None = None,
    acceleration: str = "m/s2",
    rotation: str = "rad/s",
    clips: int | str = 1,
) -> tuple[Tensor, list[tuple[float, float]]]:
    """One recording to (clips, 6, 2000) float32, and the seconds that each clip spans.

    Args:
        source: a CSV file or file object, an array or tensor (6, T) or (T, 6), or (array, rate in
            Hz). A CSV has 6 columns in the order above, or a first column with the time in
            seconds; a header line is skipped.
        rate: Hz; needed unless it is given with the array or by a time column.
        acceleration: "m/s2" or "g".
        rotation: "rad/s" or "deg/s".
        clips: 1 takes the middle 5 s, n spreads them evenly, "all" covers the recording.

    Raises BindplugError: unreadable, not 6 channels, no rate, NaN, an unknown unit, or under 5
    s."""
    check_choice("unit of acceleration", acceleration, ACCELERATION)
    check_choice("unit of rotation", rotation, ROTATION)
    data, time, seconds, name = load_imu(source, rate, config.channels)
    need = config.steps / RATE
    if seconds < need - 1e-6:
        raise BindplugError(f"{name}: {seconds:.2f} s long; at least {need:g} s are needed")
    scale = [ACCELERATION[acceleration]] * 3 + [ROTATION[rotation]] * 3
    data = data * np.array(scale)[:, None]
    count, room = clip_count(clips, seconds, 1, need), max(seconds - need, 0.0)
    starts = [room / 2] if count == 1 else [float(start) for start in spread(room, count)]
    out = [sampled(data, time, start, config.steps) for start in starts]
    x = torch.from_numpy(np.array(out, dtype=np.float32))
    return x, [(s, s + need) for s in starts]


def sampled(data: np.ndarray, time: np.ndarray, start: float, steps: int) -> np.ndarray:
    """(6, steps) float64 at RATE, from `start` seconds on, of what `load_imu` gives."""
    grid = time[0] + start + np.arange(steps) / RATE
    return np.array([np.interp(grid, time, row) for row in data])


def load_imu(
    source, rate: float | None = None, channels: int = 6
) -> tuple[np.ndarray, np.ndarray, float, str]:
    """A recording's (6, T) channels and (T,) seconds, both float64; its length in seconds; and what
    messages call it.

    Args:
        source, rate: as in `transform_imu`.

    Raises BindplugError: unreadable, not 6 channels, no rate, NaN, or times that do not grow."""
    data, time, rate, name = _load(source, rate, channels)
    if not np.isfinite(data).all():
        raise BindplugError(f"{name}: holds NaN or infinite values; fill them first")
    if time is None:
        if not (isinstance(rate, (int, float, np.number)) and 0 < rate < np.inf):
            raise BindplugError(f"{name}: rate {rate!r}; give the positive number of Hz as rate")
        time = np.arange(data.shape[1]) / float(rate)
    elif not np.isfinite(time).all() or (np.diff(time) <= 0).any():
        raise BindplugError(f"{name}: its first column must be time in seconds, always increasing")
    step = float(np.median(np.diff(time))) if len(time) > 1 else 0.0
    return data, time, time[-1] - time[0] + step, name


def _load(source, rate, channels: int):
    """(6, T) float64, times or None, rate, name."""
    if isinstance(source, (str, os.PathLike)) or hasattr(source, "read"):
        name = source_name(source, "IMU recording")
        table = _load_csv(source, name, channels).T
        return table[-channels:], table[0] if len(table) > channels else None, rate, name
    if isinstance(source, tuple):
        source, rate = source
    data, name = to_array(source, "IMU array"), "IMU array"
    if data.dtype.kind not in "iuf":
        raise BindplugError(f"{name}: is {data.dtype}; give numbers")
    if data.ndim != 2 or channels not in data.shape or data.size == 0:
        raise BindplugError(f"{name}: has shape {data.shape}; give (6, T) or (T, 6)")
    data = data.astype(np.float64)
    return (data if data.shape[0] == channels else data.T), None, rate, name


def _load_csv(source, name: str, channels: int) -> np.ndarray:
    """(T, 6), or (T, 7) with the time first; float64."""
    with (
        open_source(source, name, "CSV file") as file,
        decoding(name, "cannot be read as a CSV file; save it as UTF-8"),
    ):
        text = file.read().decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    if rows and not _numbers(rows[0]):
        rows = rows[1:]
    if not rows:
        raise BindplugError(f"{name}: holds no rows of numbers")
    for i, row in enumerate(rows, 1):
        if len(row) not in (channels, channels + 1) or len(row) != len(rows[0]):
            raise BindplugError(
                f"{name}: row {i} of numbers has {len(row)} columns; give 6, or a time and 6"
            )
        if not _numbers(row):
            raise BindplugError(f"{name}: row {i} holds {','.join(row)!r}; give numbers")
    return np.array(rows, dtype=np.float64)


def _numbers(row: list[str]) -> bool:
    try:
        return bool([float(cell) for cell in row])
    except ValueError:
        return False
