"""Videos with sound, written through PyAV a frame at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import BindplugError
from ..storage.atomic import writing as write_whole

AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000,
             11_025, 8_000, 7_350)  # fmt: skip


class VideoWriter:
    """An MP4 of frames beside a sound; see `writing`."""

    def __init__(
        self, path: str, rate: Fraction, size: tuple[int, int], sound: Iterator | None, start: float
    ):
        import av

        self.container = av.open(path, "w", format="mp4")
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self.video = self.container.add_stream(codec, rate=rate)
        self.video.width, self.video.height = (n - n % 2 for n in size)  # as 4:2:0 needs
        self.video.pix_fmt = "yuv420p"
        self.video.codec_context.time_base = Fraction(1, 90_000)
        self.blocks, self.last = sound, -1
        if sound is not None:
            first, self.hz = next(sound)
            self.layout = "stereo" if len(first) == 2 else "mono"
            rate = self.hz if self.hz in AAC_RATES else 48_000
            self.audio = self.container.add_stream("aac", rate=rate, layout=self.layout)
            self.resampler = av.AudioResampler("fltp", self.layout, rate)
            # Players skip AAC's first packet only at 0: a short delay is filled with silence.
            silence = round(start * self.hz) if start < 1 else 0
            self.heard = round(start * self.hz) - silence  # samples of the film's time
            self._hear(np.pad(first, ((0, 0), (silence, 0))))

    def write(self, seconds: float, pixels: np.ndarray) -> None:
        """A frame, and the sound up to it."""
        import av

        while self.blocks and self.heard / self.hz <= seconds:
            self._next_sound()
        width, height = self.video.width, self.video.height
        if min(pixels.shape[0] - height, pixels.shape[1] - width) in (0, 1):
            pixels = pixels[:height, :width]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        if (frame.width, frame.height) != (width, height):  # the film changes its size
            frame = frame.reformat(width, height)
        self.last = max(round(seconds * 90_000), self.last + 1)
        frame.pts, frame.time_base = self.last, Fraction(1, 90_000)
        self.container.mux(self.video.encode(frame))

    def close(self) -> None:
        """Write what is left."""
        while self.blocks:
            self._next_sound()
        self.container.mux(self.video.encode())
        if hasattr(self, "audio"):
            self._encode(None)
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

        if len(samples) > 2:
            samples = samples.mean(0, keepdims=True)
        samples = np.ascontiguousarray(samples, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.hz, self.heard, Fraction(1, self.hz)
        self.heard += samples.shape[1]
        self._encode(frame)

    def _encode(self, frame) -> None:
        for part in self.resampler.resample(frame):
            self.container.mux(self.audio.encode(part))


@contextmanager
def writing(
    path: Path,
    rate: Fraction,
    size: tuple[int, int],
    sound: Iterator | None = None,
    start: float = 0.0,
):
    """A VideoWriter whose file is there when all went well, and not at all otherwise.

    Args:
        rate: frames a second. size: width and height, pixels.
        sound: blocks as `sound_blocks` gives, at least one, or None. More than two channels are
            mixed to one; a rate that AAC lacks becomes 48 kHz.
        start: seconds at which the sound starts.
    """
    import av

    try:
        with write_whole(path) as file:
            writer = VideoWriter(file.name, rate, size, sound, start)
            try:
                yield writer
            except BaseException:
                writer.container.close()
                raise
            writer.close()
    except av.error.FFmpegError as err:
        raise BindplugError(f"{path}: the video cannot be written ({err})") from err
