"""Videos read and written a moment at a time: an hour takes no more memory than a minute."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from ..errors import BindplugError
from ..storage.atomic import writing as write_whole
from ..storage.source import check_file, source_name


def frames(source, name: str) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds, (H, W, 3) uint8 RGB) of each frame, upright.

    Raises:
        BindplugError: no video, or a damaged one.
    """
    import av

    with open_media(source, "video") as (container, stream):
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        try:
            for i, frame in enumerate(container.decode(stream)):
                pixels = frame.to_ndarray(format="rgb24")
                turns = round(getattr(frame, "rotation", 0) / 90) % 4  # counter-clockwise
                yield (
                    i / rate if frame.time is None else frame.time,
                    np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels,
                )
        except av.error.FFmpegError as err:
            raise BindplugError(
                f"{name}: is cut short or damaged; fetch or export it again"
            ) from err


def frame_rate(source) -> Fraction:
    """Average frames a second."""
    with open_media(source, "video") as (_, stream):
        return Fraction(stream.average_rate or stream.guessed_rate or 25)


def sound_windows(source, name: str, seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """The soundtrack in windows of some seconds; the last may be shorter."""
    held, count = [], 0
    for block, rate in sound_blocks(source, name):
        held.append(block)
        count += block.shape[1]
        size = max(1, round(seconds * rate))
        while count >= size:
            whole = np.concatenate(held, axis=1)
            yield whole[:, :size], rate
            held, count = [whole[:, size:]], count - size
    if count:
        yield np.concatenate(held, axis=1), rate


class VideoWriter:
    """An MP4 of frames beside a sound; see `writing`."""

    def __init__(self, path: str, rate: Fraction, size: tuple[int, int], sound: Iterator | None):
        import av

        self.container = av.open(path, "w", format="mp4")
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self.video = self.container.add_stream(codec, rate=rate)
        self.video.width, self.video.height = (n - n % 2 for n in size)  # as 4:2:0 needs
        self.video.pix_fmt = "yuv420p"
        self.video.codec_context.time_base = Fraction(1, 90_000)
        self.blocks, self.heard, self.last = sound, 0, -1
        if sound is not None:
            first, self.hz = next(sound)
            self.layout = "mono" if len(first) == 1 else "stereo"
            self.audio = self.container.add_stream("aac", rate=self.hz, layout=self.layout)
            self._hear(first)

    def write(self, seconds: float, pixels: np.ndarray) -> None:
        """A frame, and the sound up to it."""
        import av

        while self.blocks and self.heard / self.hz <= seconds:
            self._next_sound()
        pixels = np.ascontiguousarray(pixels[: self.video.height, : self.video.width])
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        self.last = max(round(seconds * 90_000), self.last + 1)
        frame.pts, frame.time_base = self.last, Fraction(1, 90_000)
        self.container.mux(self.video.encode(frame))

    def close(self) -> None:
        """Write what is left."""
        while self.blocks:
            self._next_sound()
        self.container.mux(self.video.encode())
        if hasattr(self, "audio"):
            self.container.mux(self.audio.encode())
        self.container.close()

    def _next_sound(self) -> None:
        block = next(self.blocks, None)
        if block is None:
            self.blocks = None
        else:
            self._hear(block[0])

    def _hear(self, samples: np.ndarray) -> None:
        import av

        samples = np.ascontiguousarray(samples[:2], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.hz, self.heard, Fraction(1, self.hz)
        self.heard += samples.shape[1]
        self.container.mux(self.audio.encode(frame))


@contextmanager
def writing(path: Path, rate: Fraction, size: tuple[int, int], sound: Iterator | None = None):
    """A VideoWriter whose file is there when all went well, and not at all otherwise.

    Args:
        rate: frames a second. size: width and height, pixels.
        sound: blocks as `sound_blocks` gives, at least one, or None.
    """
    import av

    try:
        with write_whole(path) as file:
            writer = VideoWriter(file.name, rate, size, sound)
            try:
                yield writer
            except BaseException:
                writer.container.close()
                raise
            writer.close()
    except av.error.FFmpegError as err:
        raise BindplugError(f"{path}: the video cannot be written ({err})") from err


@contextmanager
def open_media(source, kind: str):
    """A PyAV container and its first stream of a kind, "video" or "audio".

    Raises:
        BindplugError: absent, no media file, or without such a stream.
    """
    import av

    name = source_name(source, "media file")
    check_file(source, name, "media file")
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    elif hasattr(source, "seek"):
        source.seek(0)
    try:
        container = av.open(source)
    except (av.error.FFmpegError, OSError, ValueError) as err:
        raise BindplugError(
            f"{name}: cannot be opened as a media file; give a whole mp4, mkv, webm, avi or mov"
        ) from err
    with container:
        streams = getattr(container.streams, kind)
        if not streams:
            have = "no sound" if kind == "audio" else "no picture"
            raise BindplugError(f"{name}: has {have}")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def _count_frames(container, stream, name: str) -> tuple[int, float]:
    """Frames by their packets, since headers often lie, and the average rate in Hz."""
    import av

    try:
        count = sum(
            1 for packet in container.demux(stream) if packet.size and not packet.is_corrupt
        )
    except av.error.FFmpegError as err:
        raise BindplugError(f"{name}: is cut short or damaged; fetch or export it again") from err
    rate = stream.average_rate or stream.guessed_rate
    if not count or not rate:
        raise BindplugError(f"{name}: holds no video frames")
    return count, float(rate)


def _decode_frames(container, stream, wanted: set[int], name: str) -> dict[int, np.ndarray]:
    import av

    found = {}
    try:
        for i, frame in enumerate(container.decode(stream)):
            if i in wanted:
                found[i] = frame.to_ndarray(format="rgb24")
            if len(found) == len(wanted):
                return found
    except av.error.FFmpegError as err:
        raise BindplugError(f"{name}: is cut short or damaged; fetch or export it again") from err
    raise BindplugError(f"{name}: is cut short: frame {max(wanted)} is not there")


def sound_blocks(source, name: str) -> Iterator[tuple[np.ndarray, int]]:
    """The first audio stream as ((C, n) float32, rate in Hz) of whatever length it comes in.

    Raises:
        BindplugError: no media file, no sound in it, or cut short.
    """
    import av

    with open_media(source, "audio") as (container, stream):
        resampler = av.AudioResampler(format="fltp", rate=stream.rate)  # the format alone
        try:
            for frame in chain(container.decode(stream), [None]):  # None: what is held back
                for part in resampler.resample(frame):
                    yield part.to_ndarray(), stream.rate
        except av.error.FFmpegError as err:
            raise BindplugError(
                f"{name}: its sound is cut short or damaged; fetch or export it again"
            ) from err


def decode_soundtrack(source) -> tuple[np.ndarray, int]:
    """The first audio stream: ((C, n) float32, rate in Hz).

    Raises:
        BindplugError: no media file, no sound in it, or cut short.
    """
    name = source_name(source, "media file")
    blocks = list(sound_blocks(source, name))
    if not blocks:
        raise BindplugError(f"{name}: its sound holds no samples")
    return np.concatenate([block for block, _ in blocks], axis=1), blocks[0][1]
