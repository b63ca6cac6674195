"""bindplug's detector: Detic, prompted by embeddings of any sense."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from bindplug.bridge import Bridge, cross
from bindplug.embedding import Embedding
from bindplug.errors import BindplugError
from bindplug.plugins import DetectorPlugin
from bindplug.results import Detections
from bindplug.transforms.vision import image_name, load_image
from bindplug.weights import pull, read_catalogue

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


class DeticDetector:
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
        self.model, self.space, self.name = model, space, name
        self.templates = tuple(templates)
        self.short_side, self.long_side, self.threshold = short_side, long_side, threshold

    def detect(
        self,
        image,
        embedding: Embedding,
        threshold: float | None = None,
        top_k: int = 100,
        bridge: Bridge | str | None = None,
    ) -> Detections:
        """Find what the embedding means, each of its rows a class.

        Args:
            image: a path, PIL image or (H, W, 3) uint8 RGB array. A file's EXIF orientation is
                applied, as Detic's demo does.
            embedding: of any space that speaks text; from another space it crosses by `bridge`.
            threshold: least score, in [0, 1]; None takes the weights' own.
            bridge: a fitted bridge or its kind; None takes the default.

        Raises:
            BindplugError: a picture that cannot be read.
            SpaceMismatch: no bridge can be built.
        """
        picture = load_image(image, upright=True)
        prompt, taken = cross(embedding, self.space, bridge, self.templates)
        self.model.set_classifier(prompt.vectors)
        bgr = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
        found = self.model.predict(
            bgr,
            score_threshold=self.threshold if threshold is None else threshold,
            top_k=top_k,
            short_side=self.short_side,
            long_side=self.long_side,
        )
        about = {
            "model": embedding.space,
            "detector": f"detic/{self.name}",
            "bridge": str(taken),
        }
        return replace(
            found, names=prompt.labels, image=image_name(image), picture=picture, about=about
        )


def load(weights: str, device: str) -> DeticDetector:
    """The tiny Detic of this package, a released one by its catalogue name, or "local:PATH".

    A released one is fetched on first use.

    The path is a released checkpoint, or a folder like the tiny one's: `model.safetensors`, and
    `config.json` with the classifier's space, the picture size and the threshold.
    """
    from .detic import Detic

    released = {c.name: c for c in CATALOGUE}
    about = RELEASED
    if weights in WEIGHTS:
        path = HERE / weights
    elif weights in released:
        path = pull(released[weights])
    else:
        path = Path(weights.removeprefix("local:"))
    if path.is_dir():
        about = _read_about(path / "config.json")
        path = path / "model.safetensors"
    return DeticDetector(Detic.from_checkpoint(path).to(device), **about, name=weights)


def _read_about(path: Path) -> dict:
    try:
        about = json.loads(path.read_text())
        return {key: type(value)(about[key]) for key, value in RELEASED.items()}
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise BindplugError(
            f"{path}: not a Detic folder's configuration ({err}); it holds {', '.join(RELEASED)}"
        ) from err


PLUGIN = DetectorPlugin(
    load=load,
    weights=WEIGHTS,
    about="Detic (open-vocabulary boxes and masks), native: no detectron2",
    checkpoints=CATALOGUE,
)
