"""How long a recording is and how large its frames are, known before anything is decoded."""

import math
from typing import NamedTuple

from ..errors import BindplugError
from ..storage.source import open_source, source_name
from .media import open_media
from .sound_file import NO_SOUND, Seekable


class Length(NamedTuple):
    seconds: float  # math.inf where the file does not tell
    channels: int = 0  # of a sound
    rate: int = 0  # of a sound, Hz
    width: int = 0  # of a video, pixels
    height: int = 0


def sound_length(source) -> Length:
    """Of a sound file, or of a video's sound.
    Raises BindplugError: no such file, or none that can be read as a sound."""
    import soundfile

    name = source_name(source, "sound file")
    with open_source(source, name, "sound file") as file:
        try:
            info = soundfile.info(Seekable(file))
            known = 0 < info.frames < 1 << 62 and info.samplerate > 0
            seconds = info.frames / info.samplerate if known else math.inf
            return Length(seconds, info.channels, info.samplerate)
        except Exception:  # libsndfile's own kinds: FFmpeg may read it
            pass
    try:
        with open_media(source, name, "audio") as (container, stream, _):
            context = stream.codec_context
            seconds = _seconds(container, stream, (context.frame_size or 0) / (context.rate or 1))
            return Length(seconds, context.channels or 1, context.rate or 0)
    except BindplugError as err:
        if str(err).endswith("has no sound"):
            raise
        raise BindplugError(f"{name}: {NO_SOUND}") from err


def video_length(source) -> Length:
    """Of a video's images.
    Raises BindplugError: no such file, or no video."""
    name = source_name(source, "media file")
    with open_media(source, name, "video") as (container, stream, _):
        width, height = stream.codec_context.width, stream.codec_context.height
        return Length(_seconds(container, stream, 0.0), width=width, height=height)


def _seconds(container, stream, least: float) -> float:
    """What the header says or the packets add up to, whichever is more; `least` is a packet's."""
    import av

    told = (container.duration or 0) / av.time_base
    packets = 0.0
    for packet in container.demux(stream):
        if packet.size:
            packets += max(float((packet.duration or 0) * packet.time_base), least)
    return max(told, packets)
