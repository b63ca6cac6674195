"""Audio-visual segmentation on AVSBench's layout (Zhou et al., ECCV 2022): mIoU and F."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ..detection.detector import Finder
from ..detection.results import Detections
from ..embedding.vectors import Embedding
from ..errors import BindplugError

BETA2 = 0.3  # beta^2 of the F measure
LEVELS = np.linspace(0, 1 - 1e-10, 255)
SECONDS = 2.0  # of sound around a frame


class Clip(NamedTuple):
    """One video: its sound file, and (second, frame file, mask file) of each annotated second,
    counted from 1."""

    sound: Path
    frames: list[tuple[int, Path, Path]]


def read_clips(root: str | Path, split: str = "test") -> list[Clip]:
    """The videos of a split, by the folders `gt_masks`, `visual_frames` and `audio_wav`.

    Single-source (S4): `<split>/<category>/<video>/<video>_1.png` below each, sounds as
    `<video>.wav`. Multi-source (MS3): masks and sounds without category, frames also without split,
    as `<video>.mp4_1.png`.
    Raises BindplugError: no such folders, or a mask without frame or sound."""
    root = Path(root)
    masks, frames, sounds = (root / n for n in ("gt_masks", "visual_frames", "audio_wav"))
    if not (masks / split).is_dir():
        raise BindplugError(f"{root}: no gt_masks/{split}; give the folder s4_data or ms3_data")
    clips = []
    for folder in sorted({p.parent for p in (masks / split).rglob("*.png")}):
        below = folder.relative_to(masks)
        places = [frames / below, frames / below.relative_to(split)]
        images = next((p for p in places if p.is_dir()), places[0])
        sound = sounds / below.with_name(below.name + ".wav")
        if not sound.is_file():
            raise BindplugError(f"{sound}: no such sound for the masks in {folder}")
        rows = []
        for mask in folder.glob("*.png"):
            second = _number(mask)
            frame = next((p for p in images.glob("*") if _number(p) == second), None)
            if frame is None:
                raise BindplugError(f"{images}: no frame {second} for {mask}")
            rows.append((second, frame, mask))
        clips.append(Clip(sound, sorted(rows)))
    return clips


def _number(path: Path) -> int | None:
    found = re.search(r"_(\d+)$", path.stem)
    return found and int(found[1])


def evaluate_avs(
    detector, embedder, root, split="test", seconds=SECONDS, progress=False, **options
) -> tuple[dict, list[BindplugError]]:
    """Segment, in the frame of each annotated second, what is heard around that second.

    Args:
        root, split: as in `read_clips`.
        seconds: of sound around a frame; None takes the whole sound.
        options: as in `PromptedDetector.detect`. mIoU is that of the pixels above its threshold.

    Returns:
        `mIoU` and `F` (beta^2 = 0.3, at the best of 255 levels of the score, as AVSBench's code
        has it) in [0, 1], None without a frame (F: without an object), the number of frames, and
        what could not be read.

    Raises BindplugError: as `read_clips`."""
    threshold = options.pop("threshold", None)
    threshold = detector.score_threshold if threshold is None else threshold
    overlaps, fs, errors, metadata = [], [], [], {}
    for clip in tqdm(read_clips(root, split), disable=not progress, unit="video", desc="segment"):
        try:
            for second, frame, mask in clip.frames:
                prompt = _embed_around(embedder, clip.sound, second, seconds)
                finder = Finder(detector, prompt, threshold=0.0, **options)
                truth = _read_mask(mask)
                soft = score_map(finder(detector.features(str(frame))), truth.shape)
                overlaps.append(mask_iou(soft > threshold, truth))
                if truth.any():
                    fs.append(f_measures(soft, truth))
                metadata = finder.query.metadata
        except BindplugError as err:
            errors.append(err)
    figures = {
        "mIoU": float(np.mean(overlaps)) if overlaps else None,
        "F": float(np.mean(fs, axis=0).max()) if fs else None,
        "frames": len(overlaps),
    }
    return {**figures, **metadata}, errors


def _embed_around(embedder, sound: Path, second: int, seconds: float | None) -> Embedding:
    """The embedding of the `seconds` of sound around the middle of a second, counted from 1."""
    from ..transforms.sound_file import read_sound

    wave, rate = read_sound(str(sound))
    if seconds is not None:
        latest = wave.shape[1] / rate - seconds
        start = int(max(0.0, min(second - 0.5 - seconds / 2, latest)) * rate)
        wave = wave[:, start : start + int(seconds * rate)]
    return embedder.embed(audio=(wave, rate))


def _read_mask(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        return np.asarray(Image.open(path).convert("L")) > 0
    except Exception as err:  # whatever a decoder raises
        raise BindplugError(f"{path}: is not an image; a mask is a PNG") from err


def score_map(found: Detections, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) float32: at each pixel the highest score of the objects there, 0 without one.

    Where detections have no masks, an object is the whole of its box. `shape` is (H, W); a map of
    another size is resized to it (nearest).
    """
    from PIL import Image

    out = np.zeros((found.height, found.width), dtype=np.float32)
    for i in reversed(range(len(found))):  # the highest score is written last
        x0, y0, x1, y1 = found.boxes[i].round().astype(int)
        inside = np.s_[y0:y1, x0:x1] if found.masks is None else found.masks[i]
        out[inside] = found.scores[i]
    if out.shape != shape:
        out = np.asarray(Image.fromarray(out).resize(shape[::-1], Image.Resampling.NEAREST))
    return out


def mask_iou(found: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of (H, W) bool masks; where `truth` is empty, the share of pixels
    that `found` leaves empty too."""
    if not truth.any():
        return float((~found).mean())
    return float((found & truth).sum() / (found | truth).sum())


def f_measures(soft: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(255,) F measures of an (H, W) score map cut at 255 levels from 0 to 1.

    F = (1 + beta^2) precision recall / (beta^2 precision + recall), beta^2 = 0.3.
    """
    levels = np.searchsorted(LEVELS, soft, side="right")  # how many levels a pixel passes
    passed, hit = (
        np.bincount(of, minlength=256)[::-1].cumsum()[::-1][1:]
        for of in (levels.ravel(), levels[truth])
    )
    precision, recall = hit / (passed + 1e-20), hit / (truth.sum() + 1e-20)
    total = BETA2 * precision + recall
    return np.where(total > 0, (1 + BETA2) * precision * recall / np.maximum(total, 1e-20), 0)
