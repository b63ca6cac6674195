"""The public names of detection in videos; see `bindplug.detection.video.annotate`."""

from .detection.video.annotate import Frame as Moment
from .detection.video.annotate import annotate_video as annotate
from .detection.video.annotate import detect_video as watch

__all__ = ["Moment", "annotate", "watch"]
