"""Videos with sound, written through PyAV a frame at a time."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import BindplugError
from ..storage.atomic import writing as write_whole


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
        self.sound, self.last = sound, -1
        if sound is not None:
            first, self.hz = next(sound)
            self.layout = "stereo" if len(first) == 2 else "mono"
            rate = self.hz if self.hz in av.Codec("aac", "w").audio_rates else 48_000
            self.audio = self.container.add_stream("aac", rate=rate, layout=self.layout)
            self.resampler = av.AudioResampler("fltp", self.layout, rate)
            # Players skip AAC's first packet only at 0: a short delay is filled with silence.
            silence = round(start * self.hz) if start < 1 else 0
            self.heard = round(start * self.hz) - silence  # samples of the film's time
            self._hear(np.pad(first, ((0, 0), (silence, 0))))

    def write(self, seconds: float, pixels: np.ndarray) -> None:
        """A frame, and the sound up to it."""
        import av

        self._hear_until(seconds)
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
        self._hear_until(math.inf)
        self.container.mux(self.video.encode())
        if self.sound:
            self._encode(None)
            self.container.mux(self.audio.encode())
        self.container.close()

    def _hear_until(self, seconds: float) -> None:
        while self.sound and self.heard / self.hz <= seconds:
            block = next(self.sound, None)
            if block is None:
                return
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
            with writer.container:
                yield writer
                writer.close()
    except av.error.FFmpegError as err:
        raise BindplugError(f"{path}: the video cannot be written ({err})") from err
