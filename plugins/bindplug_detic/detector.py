"""bindplug's detector: Detic, prompted by embeddings of any sense."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bindplug.detection.detector import PromptedDetector, Proposals
from bindplug.detection.query import Query
from bindplug.device import torch_dtype
from bindplug.errors import BindplugError
from bindplug.plugins import Plugin
from bindplug.storage.checkpoints import read_catalogue
from bindplug.storage.download import pull

HERE = Path(__file__).parent
CATALOGUE = read_catalogue(HERE / "catalogue.json")
WEIGHTS = ("tiny",)
# Every released Detic classifies in CLIP ViT-B/32's space; sizes are its own, the threshold is
# that of the authors' demo for custom vocabularies.
RELEASED = {
    "space": "openai-clip-vit-b-32",
    "short_side": 800,
    "long_side": 1333,
    "threshold": 0.3,
    "templates": ["a {}"],  # of the names that made its own classifiers
}


class DeticDetector(PromptedDetector):
    """Detic with the size of picture that its weights were trained for.

    Args:
        model: a `Detic`.
        space: of its classifier.
        short_side, long_side: pixels.
        threshold: least score that is worth showing with these weights.
        templates: with "{}" for a name, as the classifier's names were worded.
        name: of the weights, for the result.
    """

    def __init__(
        self, model, space: str, short_side: int, long_side: int, threshold: float,
        templates: list[str], name: str,
    ):  # fmt: skip
        self.model, self.space, self.name = model, space, f"detic/{name}"
        self.templates = tuple(templates)
        self.short_side, self.long_side, self.threshold = short_side, long_side, threshold

    def look(self, pictures: list) -> list:
        bgr = [np.ascontiguousarray(np.asarray(p)[:, :, ::-1]) for p in pictures]
        return self.model.batch_features(bgr, self.short_side, self.long_side)

    def find(self, seen, size: tuple[int, int], query: Query, least: float, most: int, masks: bool):
        """Detections, with masks."""
        scores = self.model.scores(seen, query.vectors, query.read)
        return self.model.select(seen, query.settle(scores), least, top_k=most, masks=masks)

    def propose(self, seen, size: tuple[int, int]) -> Proposals:
        boxes = self.model.proposals(seen)
        return Proposals(boxes, seen.scores.cpu().numpy())

    def masks(self, seen, size: tuple[int, int], boxes: np.ndarray) -> np.ndarray:
        return self.model.masks(seen, boxes)


def load(weights: str, device: str, dtype: str = "float32") -> DeticDetector:
    """The tiny Detic of this package, a released one by its catalogue name, or "local:PATH".

    A released one is fetched on first use.

    The path is a released checkpoint, or a folder like the tiny one's: `model.safetensors`, and
    `config.json` with the classifier's space, the picture size and the threshold.
    """
    from .detic import Detic

    released = {c.name: c for c in CATALOGUE}
    metadata = RELEASED
    if weights in WEIGHTS:
        path = HERE / weights
    elif weights in released:
        path = pull(released[weights])
    else:
        path = Path(weights.removeprefix("local:"))
    if path.is_dir():
        metadata = _read_about(path / "config.json")
        path = path / "model.safetensors"
    model = Detic.from_checkpoint(path).to(device, torch_dtype(dtype))
    return DeticDetector(model, **metadata, name=weights)


def _read_about(path: Path) -> dict:
    try:
        metadata = json.loads(path.read_text())
        return {key: type(value)(metadata[key]) for key, value in RELEASED.items()}
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise BindplugError(
            f"{path}: not a Detic folder's configuration ({err}); it holds {', '.join(RELEASED)}"
        ) from err


PLUGIN = Plugin(
    load=load,
    weights=WEIGHTS,
    description="Detic (open-vocabulary boxes and masks), native: no detectron2",
    checkpoints=CATALOGUE,
)
