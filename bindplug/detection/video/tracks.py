"""Objects followed through a video, and when each one sounds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..results import Detections, box_iou

OVERLAP = 0.3  # least IoU with where a track last was
PATIENCE = 1.0  # seconds that a track may be gone, or two searched frames where that is more


@dataclass
class Track:
    """One object.

    Attributes:
        label: the prompt that it answers.
        times: seconds of the frames it is on; `boxes` (4,) xyxy pixels and `scores` there.
    """

    label: str
    times: list[float] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def sounds(self, step: float) -> list[tuple[float, float]]:
        """(start, end) seconds in which it answers the sound; frames are `step` apart."""
        out = []
        for time in self.times:
            if out and time - out[-1][1] <= step * 0.5:
                out[-1] = (out[-1][0], time + step)
            else:
                out.append((time, time + step))
        return out

    def to_dict(self, step: float) -> dict:
        """An entry of the timeline's JSON."""
        return {
            "label": self.label,
            "score": round(float(np.mean(self.scores)), 4),
            "sounds": [{"start": round(s, 3), "end": round(e, 3)} for s, e in self.sounds(step)],
            "boxes": [
                {
                    "time": round(time, 3),
                    "score": round(score, 4),
                    "box": dict(zip(("xmin", "ymin", "xmax", "ymax"),
                                    (round(float(v), 2) for v in box), strict=True)),
                }
                for time, box, score in zip(self.times, self.boxes, self.scores, strict=True)
            ],
        }  # fmt: skip


class Tracker:
    """Joins detections of one frame after another by overlap, best pairs first."""

    def __init__(self, step: float = 0.5):
        """
        Args:
            step: seconds between searched frames.
        """
        self.patience = max(PATIENCE, 2 * step) + 1e-6
        self.tracks: list[Track] = []

    def add(self, time: float, found: Detections) -> None:
        """The detections of a frame, later than those before."""
        open_ones = [t for t in self.tracks[-200:] if time - t.times[-1] <= self.patience]
        free = set(range(len(found)))
        pairs = []
        if open_ones and len(found):
            overlap = box_iou(np.stack([t.boxes[-1] for t in open_ones]), found.boxes)
            for i, j in zip(*np.nonzero(overlap >= OVERLAP), strict=True):
                if open_ones[i].label == found.labels[j]:
                    pairs.append((-overlap[i, j], int(i), int(j)))
        taken = set()
        for _, i, j in sorted(pairs):
            if i not in taken and j in free:
                taken.add(i)
                free.remove(j)
                self._put(open_ones[i], time, found, j)
        for j in sorted(free):
            self.tracks.append(Track(found.labels[j]))
            self._put(self.tracks[-1], time, found, j)

    def _put(self, track: Track, time: float, found: Detections, j: int) -> None:
        track.times.append(time)
        track.boxes.append(found.boxes[j])
        track.scores.append(float(found.scores[j]))
