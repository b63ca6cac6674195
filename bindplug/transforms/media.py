"""Videos and their sound, read through PyAV; see media_writer for the way out.

Frame by frame and block by block: an hour takes no more memory than a minute.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import chain

import numpy as np

from ..errors import BindplugError
from ..storage.source import decoding, open_source, source_name

GAP = 0.02  # seconds of missing sound that silence fills
NOTHING_ELSE = {"protocol_whitelist": "none"}  # playlists could name other files of the machine
DAMAGED = "is cut short or damaged; fetch or export it again"


@contextmanager
def open_media(source, name: str, kind: str):
    """A PyAV container, its first stream of a kind ("video" or "audio"), and its origin.

    The origin is the time stamp, in seconds, at which the earliest stream starts: recordings of
    broadcasts and cuts seldom start at 0.
    Raises BindplugError: absent, no media file, without such a stream, or damaged, also while it is
    being read inside the block."""
    import av

    with open_source(source, name, "media file") as file, ExitStack() as stack:
        # A file object, not its name: FFmpeg takes "2024-05-01T10:20.mp4" for an address.
        with decoding(name, "cannot be opened as a media file; give a whole mp4, mkv, webm, avi "
                      "or mov"):  # fmt: skip
            container = stack.enter_context(av.open(file, options=NOTHING_ELSE))
        streams = getattr(container.streams, kind)
        if not streams:
            raise BindplugError(f"{name}: has no {'sound' if kind == 'audio' else 'picture'}")
        streams[0].thread_type = "AUTO"
        with decoding(name, f"its sound {DAMAGED}" if kind == "audio" else DAMAGED):
            yield container, streams[0], (container.start_time or 0) / av.time_base


def frames(source, name: str) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds, (H, W, 3) uint8 RGB) of each frame, upright; errors as in `open_media`.

    Seconds count from the start of the file's earliest stream and never go back: where a joined
    file starts anew, they go on. H and W may change on the way."""
    with open_media(source, name, "video") as (container, stream, origin):
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        shift, last = -origin, 0.0
        for i, frame in enumerate(container.decode(stream)):
            time = i / rate + origin if frame.time is None else frame.time
            if time + shift < last:
                shift = last + 1 / rate - time
            last = time + shift
            turns = round(getattr(frame, "rotation", 0) / 90) % 4  # counter-clockwise
            yield last, np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))


def frame_rate(source) -> Fraction:
    """Average frames a second."""
    with open_media(source, source_name(source, "media file"), "video") as (_, stream, _):
        return Fraction(stream.average_rate or stream.guessed_rate or 25)


def count_frames(source, name: str) -> tuple[int, float]:
    """Frames, by the packets that are shown, since headers often lie; and the average rate in Hz.
    Raises BindplugError: as in `open_media`, or no frames."""
    with open_media(source, name, "video") as (container, stream, _):
        count = sum(
            1 for p in container.demux(stream) if p.size and not (p.is_corrupt or p.is_discard)
        )
        rate = stream.average_rate or stream.guessed_rate
    if not count or not rate:
        raise BindplugError(f"{name}: holds no video frames")
    return count, float(rate)


def pick_frames(source, name: str, wanted: set[int]) -> tuple[dict[int, np.ndarray], int]:
    """Some frames by number, each (H, W, 3) uint8 RGB as stored, and how many were decoded.

    Fewer are given where fewer decode: a stream that starts between key frames has packets that
    give none. Errors as in `open_media`."""
    found, count = {}, 0
    with open_media(source, name, "video") as (container, stream, _):
        for frame in container.decode(stream):
            if count in wanted:
                found[count] = frame.to_ndarray(format="rgb24")
            count += 1
            if len(found) == len(wanted):
                break
    return found, count


def sound_start(source, name: str) -> float | None:
    """Seconds from the start of the file's earliest stream to the first sample of its sound, or
    None where it has no sound."""
    try:
        with open_media(source, name, "audio") as (container, stream, origin):
            first = next(container.decode(stream), None)
            return first and max(0.0, (first.time or origin) - origin)
    except BindplugError:
        return None


def sound_blocks(source, name: str, start: float | None = None) -> Iterator[tuple[np.ndarray, int]]:
    """The first audio stream as ((C, n) float32, rate in Hz) of whatever length it comes in.

    Rate and channels are those of its first frame; where they change, the rest is resampled and
    mixed to them. Errors as in `open_media`.

    Args:
        start: seconds from the start of the file's earliest stream, from which on the blocks keep
            to the file's clock: where it has no sound, there is silence. None joins all sound.
    """
    import av

    with open_media(source, name, "audio") as (container, stream, origin):
        resampler = before = first = None
        due = None if start is None else origin + start
        for frame in chain(container.decode(stream), [None]):  # None: what is held back
            if frame:
                first = first or frame
                now = (frame.format.name, frame.layout.name, frame.sample_rate)
                if now != before:
                    yield from _resampled(resampler, None)
                    before = now
                    resampler = av.AudioResampler("fltp", first.layout, first.sample_rate)
                if due is not None and frame.time is not None:
                    rate, channels = first.sample_rate, first.layout.nb_channels
                    missing = round((frame.time - due) * rate)
                    for at in range(0, missing if missing > GAP * rate else 0, rate):
                        yield np.zeros((channels, min(rate, missing - at)), np.float32), rate
                    due = frame.time + frame.samples / frame.sample_rate
            yield from _resampled(resampler, frame)


def _resampled(resampler, frame) -> Iterator[tuple[np.ndarray, int]]:
    for part in resampler.resample(frame) if resampler else ():
        yield part.to_ndarray(), part.sample_rate


def sound_windows(source, name: str, seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """The soundtrack in windows ((C, n) float32, rate in Hz) of some seconds, on the file's clock:
    with silence before the sound starts and where it pauses. The last may be shorter."""
    held, count = [], 0
    for block, rate in sound_blocks(source, name, 0.0):
        held.append(block)
        count += block.shape[1]
        size = max(1, round(seconds * rate))
        while count >= size:
            whole = np.concatenate(held, axis=1)
            yield whole[:, :size], rate
            held, count = [whole[:, size:]], count - size
    if count:
        yield np.concatenate(held, axis=1), rate


def decode_soundtrack(source, name: str) -> tuple[np.ndarray, int]:
    """The first audio stream: ((C, n) float32, rate in Hz).
    Raises BindplugError: as in `open_media`, or no samples."""
    blocks = list(sound_blocks(source, name))
    if not blocks:
        raise BindplugError(f"{name}: its sound holds no samples")
    return np.concatenate([block for block, _ in blocks], axis=1), blocks[0][1]


def duration(source, name: str) -> float:
    """Seconds of a file by its header; 0 where it does not say. Errors as in `open_media`."""
    import av

    with (
        open_source(source, name, "media file") as file,
        decoding(name, DAMAGED),
        av.open(file, options=NOTHING_ELSE) as container,
    ):
        return max(0.0, (container.duration or 0) / av.time_base)


def frame_at(source, name: str, seconds: float) -> np.ndarray:
    """The frame that is shown some seconds after the start, (H, W, 3) uint8 RGB as stored; the last
    one where the video ends before. Errors as in `open_media`."""
    with open_media(source, name, "video") as (container, stream, origin):
        due, last = origin + seconds, None
        if seconds > 1 and stream.time_base:
            container.seek(int(due / stream.time_base), stream=stream, backward=True)
        for frame in container.decode(stream):
            if last is not None and frame.time is not None and frame.time > due + 1e-6:
                break
            last = frame
        if last is None:
            raise BindplugError(f"{name}: holds no video frames")
        return last.to_ndarray(format="rgb24")


def sound_between(source, name: str, start: float, seconds: float) -> tuple[np.ndarray, int]:
    """Some seconds of the soundtrack on the file's clock, ((C, n) float32, rate in Hz), with
    silence where it has none. Errors as in `open_media`."""
    kept, at, rate = [], 0, 0
    for block, rate in sound_blocks(source, name, 0.0):
        first, last = round(start * rate) - at, round((start + seconds) * rate) - at
        if last <= 0:
            break
        if first < block.shape[1]:
            kept.append(block[:, max(first, 0) : last])
        at += block.shape[1]
    if not rate:
        raise BindplugError(f"{name}: its sound holds no samples")
    wave = np.concatenate(kept, axis=1) if kept else np.zeros((1, 0), np.float32)
    missing = round(seconds * rate) - wave.shape[1]
    return np.pad(wave, ((0, 0), (0, max(missing, 0)))), rate
