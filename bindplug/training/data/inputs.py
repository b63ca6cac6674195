"""Inputs of rows as sources that transforms take: a moment's frame and sound, a crop, a file."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import BindplugError
from ...storage.source import NamedBytes, decoding
from ...transforms.media import duration, frame_at, sound_between
from ...transforms.vision import load_gray, load_image
from .rows import Crop, Member, Moment

IMU_RATE = 200  # Hz that time-stamped motion is read at
IMU_COLUMNS = ("accl_x", "accl_y", "accl_z", "gyro_x", "gyro_y", "gyro_z")  # Ego4D's names
TIME = "canonical_timestamp_ms"


def open_input(modality: str, value, share: float = 0.5, seconds: float | None = None):
    """A source for the transform of a modality.

    Args:
        value: an input of a `Row`.
        share: of a recording, in [0, 1], at which its moment lies.
        seconds: of sound or motion around the moment; None takes 2.

    Raises BindplugError: it cannot be read."""
    if isinstance(value, Member):
        return value.data.decode("utf-8", "replace") if modality == "text" else _openable(value)
    if isinstance(value, Crop):
        if modality == "image":
            return load_image(value.path).crop(value.box)
        left, top, right, bottom = value.box
        return load_gray(value.path)[0][top:bottom, left:right]
    if not isinstance(value, Moment):
        return value
    if modality == "imu":
        return _motion(value, share, seconds or 5.0)
    end = value.end or _duration(value.path)
    at = value.start + share * max(end - value.start, 0.0)
    if modality == "image":
        return Image.fromarray(frame_at(_openable(value.path), str(value.path), at))
    if modality != "audio":
        raise BindplugError(f"{value.path}: a moment has image, audio or imu, not {modality}")
    length = seconds or 2.0
    start = min(max(at - length / 2, value.start), max(end - length, value.start))
    return sound_between(_openable(value.path), str(value.path), start, length)


def _openable(path: str | Member):
    return NamedBytes(path.data, path.name) if isinstance(path, Member) else path


def _duration(path: str | Member) -> float:
    """Seconds of a video. Those of files are remembered; a shard's member holds all its bytes."""
    return _file_duration(path) if isinstance(path, str) else duration(_openable(path), str(path))


@lru_cache(maxsize=4096)
def _file_duration(path: str) -> float:
    return duration(path, path)


def _motion(value: Moment, share: float, seconds: float) -> tuple[np.ndarray, int]:
    """((6, T), Hz) of a recording with time stamps around its moment, evenly sampled.

    The share is of the stretch in which a window of that length fits, so that the moment of a
    video and of its motion are the same wherever both are long enough."""
    time, data = _read_motion(value.path)
    first, last = time[0] + value.start, time[0] + value.end if value.end else time[-1]
    if last - first < seconds - 1 / IMU_RATE:
        raise BindplugError(
            f"{value.path}: {last - first:.2f} s of motion; at least {seconds:g} s are needed"
        )
    middle = first + share * (last - first)
    start = min(max(middle - seconds / 2, first), last - seconds)
    grid = start + np.arange(round(seconds * IMU_RATE) + 1) / IMU_RATE
    return np.array([np.interp(grid, time, row) for row in data]), IMU_RATE


@lru_cache(maxsize=16)
def _read_motion(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Seconds (T,) and (6, T) acceleration and rotation of a CSV with Ego4D's columns; lines that
    lack a number are left out."""
    with (
        decoding(path, "cannot be read as a CSV of motion"),
        Path(path).open(newline="", encoding="utf-8-sig") as file,
    ):
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        if lacking := [c for c in (TIME, *IMU_COLUMNS) if c not in columns]:
            raise BindplugError(f"{path}: has no column {lacking[0]}; Ego4D's motion has it")
        rows = []
        for cells in reader:
            try:
                rows.append([float(cells[c]) for c in (TIME, *IMU_COLUMNS)])
            except (TypeError, ValueError):
                continue
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    table = table[np.isfinite(table).all(1)]
    if len(table) < 2:
        raise BindplugError(f"{path}: holds no motion")
    table = table[np.argsort(table[:, 0], kind="stable")]
    return table[:, 0] / 1000, table[:, 1:].T
