"""Detection in a video, prompted by its own soundtrack window by window, or by one embedding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from ...embedding.vectors import Embedding
from ...errors import BindplugError
from ...storage.atomic import make_folder, refuse_existing, write_file, write_json
from ...storage.source import reopenable, source_name
from ...transforms import media
from ...transforms.media_writer import writing
from ..detector import Finder
from ..results import Detections, document_head
from .tracks import Tracker

SECONDS = 2.0  # of sound that prompt the frames of the same time: ImageBind's clip
STEP = 0.5  # seconds between the frames that are searched
SILENCE = 1e-3  # root mean square, -60 dB of full scale


@dataclass
class Window:
    """A stretch of the soundtrack; without words and finder where it is silent."""

    start: float  # seconds
    end: float
    heard: tuple[tuple[str, float], ...] = ()  # (word, probability) of what it sounds like
    finder: Finder | None = None  # detects that in image features


@dataclass
class Frame:
    """One frame of a video. `found` is None where it was not searched, or its window is silent."""

    time: float  # seconds from the start of the file's earliest stream
    pixels: np.ndarray  # (H, W, 3) uint8 RGB, upright
    found: Detections | None
    window: Window  # of the soundtrack


def detect_video(
    detector, embedder, video, prompt: Embedding | None = None, step: float = STEP,
    seconds: float = SECONDS, **options,
) -> Iterator[Frame]:  # fmt: skip
    """All frames of a video in order; every `step` seconds one is searched.

    Times count from the start of the file's earliest stream; sound that starts later is preceded
    by silence. Frames are turned upright as the file says, unlike those of `Embedder.embed`.
    Memory is constant.

    Args:
        detector: a PromptedDetector.
        embedder: embeds the soundtrack; with a prompt it may be None.
        video: a path, pipe or `io.BytesIO`.
        prompt: what to detect in all frames; None takes the soundtrack, `seconds` at a time.
        options: as in `PromptedDetector.detect`: threshold, top_k, bridge, competition, negative,
            vocabulary.

    Raises BindplugError: no video, no sound where it is needed, or a damaged file."""
    name = source_name(video, "video")
    video = reopenable(video, name, "video")
    if prompt is None:
        windows = _sound_windows(detector, embedder, video, name, seconds, options)
    else:
        windows = iter([Window(0.0, float("inf"), (), Finder(detector, prompt, **options))])
    window, due = next(windows, None), 0.0
    if window is None:
        raise BindplugError(f"{name}: its sound holds no samples; give a prompt")
    for time, pixels in media.frames(video, name):
        while time >= window.end and (after := next(windows, None)) is not None:
            window = after
        found = None
        if time >= due - 1e-6:
            due = max(due + step, time)
            if window.finder is not None and time < window.end:
                found = replace(window.finder(detector.features(pixels)), image=name)
        yield Frame(time, pixels, found, window)


def _sound_windows(detector, embedder, video, name, seconds, options) -> Iterator[Window]:
    """The soundtrack's windows. All have the video's name as label, so that tracks can go on."""
    start = 0.0
    for samples, rate in media.sound_windows(video, name, seconds):
        window = Window(start, start + samples.shape[1] / rate)
        start = window.end
        loud = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        if loud >= SILENCE and samples.shape[1] >= rate // 10:
            prompt = replace(embedder.embed(audio=(samples, rate)), labels=(name,))
            window.finder = Finder(detector, prompt, **options)
            [window.heard] = window.finder.query.heard or [()]
        yield window


def annotate_video(
    detector, embedder, video, folder: str | Path, overwrite: bool = False,
    progress: bool | Callable[[int, int], None] = False, made_from: dict | None = None, **options,
) -> dict:  # fmt: skip
    """Detect in a video and write `<video>.mp4` (annotated, with its sound, in sync),
    `<video>.json` (the timeline) and `<video>.png` (the timeline drawn) to a folder, each by
    rename.

    Args:
        progress: show a progress bar; or a function that is called with the number of frames done
            and of all, after each frame. What it raises ends the work, and nothing is written.
        made_from: prompts, fingerprints and settings, for the timeline.
        options: as in `detect_video`.

    Returns:
        The timeline: windows of the soundtrack with the words that each sounds like, and tracks
        with the seconds at which each sounds.

    Raises BindplugError: as `detect_video`; or files that exist and `overwrite` is False."""
    from PIL import Image
    from tqdm import tqdm

    from ..drawing import overlay
    from .timeline import timeline_picture

    folder, name = make_folder(folder), source_name(video, "video")
    stem = Path(name).stem
    paths = [folder / f"{stem}{ending}" for ending in (".mp4", ".json", ".png")]
    refuse_existing(paths, overwrite)
    if paths[0].exists() and Path(name).exists() and paths[0].samefile(name):
        raise BindplugError(f"{paths[0]}: would replace the video itself; choose another --output")
    video = reopenable(video, name, "video")
    step = options.get("step", STEP)
    all_frames = detect_video(detector, embedder, video, **options)
    first = next(all_frames, None)
    if first is None:
        raise BindplugError(f"{name}: holds no video frames")
    tracker, window, windows, metadata, end = Tracker(step), None, [], {}, 0.0
    height, width = first.pixels.shape[:2]
    start = media.sound_start(video, name)
    sound = None if start is None else media.sound_blocks(video, name, start)
    with writing(paths[0], media.frame_rate(video), (width, height), sound, start or 0) as out:
        shown, until = None, 0.0
        frames = chain([first], all_frames)
        total = media.count_frames(video, name)[0] if progress else None
        hidden = progress is not True
        bar = tqdm(frames, unit="frame", disable=hidden, desc=stem, total=total)
        for done, frame in enumerate(bar, 1):
            if window is not frame.window:
                window = frame.window
                windows.append(replace(window, finder=None))  # an hour has many queries
            if frame.found is not None:
                metadata = frame.found.metadata
                tracker.add(frame.time, frame.found)
                shown, until = frame.found, frame.time + step
            pixels = frame.pixels
            fits = shown is not None and (shown.height, shown.width) == pixels.shape[:2]
            if fits and frame.time < until and len(shown):
                pixels = np.asarray(overlay(replace(shown, picture=Image.fromarray(pixels))))
            out.write(frame.time, pixels)
            end = frame.time
            if callable(progress):
                progress(done, max(done, total))
    metadata = metadata if made_from is None else {**metadata, "made_from": made_from}
    timeline = {
        **document_head(metadata),
        "video": name,
        "seconds": round(end, 3),
        "step": step,
        "windows": [
            {
                "start": round(w.start, 3),
                "end": round(min(w.end, max(end, w.start)), 3),
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
