"""Objects followed through a video, and when each one sounds."""

from dataclasses import dataclass, field

import numpy as np

from ..results import Detections, box_record

OVERLAP = 0.3  # least IoU with where a track last was
PATIENCE = 1.0  # seconds that a track may be gone, or two searched frames where that is more


@dataclass
class Track:
    """One object, and the frames that it is on."""

    label: str  # the prompt that it answers
    times: list[float] = field(default_factory=list)  # seconds of the frames
    boxes: list[np.ndarray] = field(default_factory=list)  # (4,) xyxy pixels
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
                {"time": round(time, 3), "score": round(score, 4), "box": box_record(box)}
                for time, box, score in zip(self.times, self.boxes, self.scores, strict=True)
            ],
        }


class Tracker:
    """Joins detections of one frame after another, `step` seconds apart, by overlap, best first."""

    def __init__(self, step: float = 0.5):
        self.patience = max(PATIENCE, 2 * step) + 1e-6
        self.tracks: list[Track] = []
        self._recent: list[Track] = []  # those that may go on

    def add(self, time: float, found: Detections) -> None:
        """The detections of a frame, later than those before."""
        import torch
        from torchvision.ops import box_iou

        recent = [t for t in self._recent if time - t.times[-1] <= self.patience]
        last = np.reshape([t.boxes[-1] for t in recent], (-1, 4)).astype(np.float32)
        overlap = box_iou(torch.from_numpy(last), torch.from_numpy(found.boxes)).numpy()
        pairs = np.argwhere(overlap >= OVERLAP).tolist()
        track_of: dict[int, int] = {}  # by the index of the object
        for i, j in sorted(pairs, key=lambda pair: -overlap[tuple(pair)]):
            same = recent[i].label == found.labels[j]
            if same and j not in track_of and i not in track_of.values():
                track_of[j] = i
        self._recent = recent
        for j, label in enumerate(found.labels):
            if j not in track_of:
                self.tracks.append(Track(label))
                recent.append(self.tracks[-1])
            track = recent[track_of.get(j, -1)]
            track.times.append(time)
            track.boxes.append(found.boxes[j])
            track.scores.append(float(found.scores[j]))
