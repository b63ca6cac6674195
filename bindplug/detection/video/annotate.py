"""A video's own sound finds, moment by moment, what makes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from ...embedding.vectors import Embedding
from ...errors import BindplugError
from ...storage.atomic import make_folder, refuse_existing, write_file, write_json
from ...storage.source import source_name
from ...transforms import media
from ...transforms.media import sound_blocks
from ..detector import Finder
from ..results import Detections
from .tracks import Tracker

SECONDS = 2.0  # of sound that prompt the frames of the same moment: ImageBind's clip
STEP = 0.5  # seconds between the frames that are searched
SILENCE = 1e-3  # root mean square, -60 dB of full scale
SCHEMA = 1


@dataclass
class Window:
    """A stretch of the soundtrack.

    Attributes:
        start, end: seconds.
        heard: (word, share) that it was taken for; empty for silence.
        finder: looks for it; None for silence.
    """

    start: float
    end: float
    heard: list[tuple[str, float]] = field(default_factory=list)
    finder: Finder | None = None


@dataclass
class Frame:
    """A frame, and what was found on it: None where it was not searched, or nothing sounded.

    Attributes:
        time: seconds.
        pixels: (H, W, 3) uint8 RGB.
        found, window: as they are.
    """

    time: float
    pixels: np.ndarray
    found: Detections | None
    window: Window


def detect_video(
    detector,
    embedder,
    video,
    prompt: Embedding | None = None,
    step: float = STEP,
    seconds: float = SECONDS,
    **options,
) -> Iterator[Frame]:
    """All frames of a video in order; every `step` seconds one is searched.

    Args:
        detector: a PromptedDetector.
        embedder: hears the soundtrack; with a prompt it may be None.
        video: a path.
        prompt: what to look for all the time; None takes the soundtrack, `seconds` at a time.
        options: as in `PromptedDetector.detect`: threshold, top_k, bridge, competition, negative,
            vocabulary.

    Raises:
        BindplugError: no video, no sound where it is needed, or a damaged file.
    """
    name = source_name(video, "video")
    if prompt is None:
        windows = _listen(detector, embedder, video, name, seconds, options)
    else:
        windows = iter([Window(0.0, float("inf"), [], Finder(detector, prompt, **options))])
    window, due = next(windows), 0.0
    for time, pixels in media.frames(video, name):
        while time >= window.end and (after := next(windows, None)) is not None:
            window = after
        found = None
        if time >= due - 1e-6:
            due = max(due + step, time)
            if window.finder is not None and time < window.end:
                found = replace(window.finder(detector.features(pixels)), image=name)
        yield Frame(time, pixels, found, window)


def _listen(detector, embedder, video, name, seconds, options) -> Iterator[Window]:
    """The soundtrack's windows. The label of all is the video, so that a track can go on."""
    start = 0.0
    for samples, rate in media.sound_windows(video, name, seconds):
        window = Window(start, start + samples.shape[1] / rate)
        start = window.end
        loud = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        if loud >= SILENCE and samples.shape[1] >= rate // 10:
            heard = embedder.embed(audio=(samples, rate))
            heard = replace(heard, labels=(name,))
            window.finder = Finder(detector, heard, **options)
            window.heard = list(window.finder.query.heard[0]) if window.finder.query.heard else []
        yield window


def annotate_video(
    detector,
    embedder,
    video,
    folder: str | Path,
    overwrite: bool = False,
    progress: bool = False,
    **options,
) -> dict:
    """Watch a video and write `<video>.mp4` (annotated, with its sound), `<video>.json` (the
    timeline) and `<video>.png` (its picture) to a folder, each by rename.

    Args:
        options: as in `watch`.

    Returns:
        The timeline: windows of the soundtrack with what was heard in them, and tracks with the
        times at which each sounds.

    Raises:
        BindplugError: as `watch`; or files that exist and `overwrite` is False.
    """
    from tqdm import tqdm

    from ..drawing import overlay
    from .timeline import timeline_picture

    folder, stem = make_folder(folder), Path(source_name(video, "video")).stem
    paths = [folder / f"{stem}{ending}" for ending in (".mp4", ".json", ".png")]
    refuse_existing(paths, overwrite)
    if paths[0].exists() and Path(video).exists() and paths[0].samefile(video):
        raise BindplugError(f"{paths[0]}: would replace the video itself; choose another --output")
    step = options.get("step", STEP)
    moments = detect_video(detector, embedder, video, **options)
    first = next(moments, None)
    if first is None:
        raise BindplugError(f"{video}: holds no video frames")
    tracker, windows, metadata, end = Tracker(), [], {}, 0.0
    height, width = first.pixels.shape[:2]
    sound = sound_blocks(video, "soundtrack") if has_sound(video) else None
    with media.writing(paths[0], media.frame_rate(video), (width, height), sound) as out:
        shown, until = None, 0.0
        bar = tqdm(chain([first], moments), unit="frame", disable=not progress, desc=stem)
        for moment in bar:
            if not windows or windows[-1] is not moment.window:
                windows.append(moment.window)
            if moment.found is not None:
                metadata = moment.found.metadata
                tracker.add(moment.time, moment.found)
                shown, until = moment.found, moment.time + step
            pixels = moment.pixels
            if shown is not None and moment.time < until and len(shown):
                pixels = np.asarray(overlay(replace(shown, picture=_picture(pixels))))
            out.write(moment.time, pixels)
            end = moment.time
    for window in windows:
        window.end = min(window.end, max(end, window.start))
    timeline = {
        "schema": SCHEMA,
        "video": source_name(video, "video"),
        **{k: metadata.get(k) for k in ("model", "detector", "bridge", "competition")},
        "seconds": round(end, 3),
        "step": step,
        "windows": [
            {
                "start": round(w.start, 3),
                "end": round(w.end, 3),
                "heard": {word: round(share, 4) for word, share in w.heard},
            }
            for w in windows
        ],
        "tracks": [t.to_dict(step) for t in tracker.tracks],
    }
    write_json(paths[1], timeline)
    picture = timeline_picture(timeline)
    write_file(paths[2], lambda f: picture.save(f, format="PNG"))
    return timeline


def has_sound(video) -> bool:
    """Whether a video has a soundtrack."""
    try:
        return next(sound_blocks(video, "video"), None) is not None
    except BindplugError:
        return False


def _picture(pixels: np.ndarray):
    from PIL import Image

    return Image.fromarray(pixels)
