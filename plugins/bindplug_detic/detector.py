"""bindplug's detector: Detic, prompted by embeddings of any modality."""

import json
from pathlib import Path

import numpy as np

from bindplug.detection.detector import PromptedDetector, Proposals
from bindplug.detection.results import Detections
from bindplug.device import torch_dtype
from bindplug.errors import BindplugError
from bindplug.plugins import Plugin
from bindplug.storage.checkpoints import read_catalogue
from bindplug.storage.download import pull
from bindplug.storage.hashing import file_fingerprint

from .config import NMS, RELEASED, own_vocabulary

HERE = Path(__file__).parent
CATALOGUE = read_catalogue(HERE / "catalogue.json")
WEIGHTS = ("small",)


class DeticDetector(PromptedDetector):
    """Detic with the image size that its weights were trained for.

    Args:
        space: of the model's classifier.
        short_side, long_side: pixels.
        nms_iou, nms_inside: as in `config.NMS`.
        threshold, templates, fingerprint: as in `bindplug.plugins.Detector`.
        own: whether its classifier's rows are a vocabulary in `space` (`own_vocabulary`).
    """

    def __init__(
        self, model, space: str, short_side: int, long_side: int, threshold: float,
        nms_iou: float, nms_inside: float, templates: list[str], name: str, fingerprint: str = "",
        own: bool = False,
    ):  # fmt: skip
        self.model, self.space, self.name = model, space, f"detic/{name}"
        model.nms = NMS(nms_iou, nms_inside)
        self.templates, self.fingerprint = tuple(templates), fingerprint
        self.short_side, self.long_side, self.score_threshold = short_side, long_side, threshold
        if own and model.classifier is not None:
            self.words, self.word_rows = own_vocabulary(model.classifier.T.cpu().numpy())

    def encode_images(self, images: list) -> list:
        bgr = [np.ascontiguousarray(np.asarray(p)[:, :, ::-1]) for p in images]
        return self.model.batch_features(bgr, self.short_side, self.long_side)

    def find(self, encoded, size, query, score_threshold, max_detections, masks) -> Detections:
        """Detections, with masks."""
        scores = self.model.scores(encoded, query.vectors, query.to_probabilities)
        scores = query.suppress_negatives(scores)
        return self.model.select(
            encoded, scores, score_threshold, top_k=max_detections, masks=masks
        )

    def propose(self, encoded, size: tuple[int, int]) -> Proposals:
        return Proposals(self.model.proposals(encoded), encoded.scores.cpu().numpy())

    def masks(self, encoded, size: tuple[int, int], boxes: np.ndarray) -> np.ndarray:
        return self.model.masks(encoded, boxes)


def load(weights: str, device: str, dtype: str = "float32") -> DeticDetector:
    """The small Detic of this package, a released one by its catalogue name, which is fetched on
    first use, or "local:PATH".

    The path is a released checkpoint, or a folder like the small one's: `model.safetensors`, and
    `config.json` with the keys of `config.RELEASED`.
    """
    from .detic import Detic

    released = {c.name: c for c in CATALOGUE}
    path = HERE / weights if weights in WEIGHTS else Path(weights.removeprefix("local:"))
    path = pull(released[weights]) if weights in released else path
    own, metadata, files = not path.is_dir(), RELEASED, [path]
    if not own:
        files = [path / "model.safetensors", path / "config.json"]
        path, metadata = files[0], _read_config(files[1])
    model = Detic.from_checkpoint(path).to(device, torch_dtype(dtype, device))
    fingerprint = " ".join([*map(file_fingerprint, files), dtype])
    return DeticDetector(model, **metadata, name=weights, fingerprint=fingerprint, own=own)


def _read_config(path: Path) -> dict:
    try:
        metadata = json.loads(path.read_text())
        found = {key: type(value)(metadata[key]) for key, value in RELEASED.items()}
        NMS(found["nms_iou"], found["nms_inside"])
        return found
    except (OSError, ValueError, KeyError, TypeError) as err:
        reason = f"no {err}" if isinstance(err, KeyError) else err
        raise BindplugError(
            f"{path}: not a Detic folder's configuration ({reason}); give {', '.join(RELEASED)}"
        ) from err


PLUGIN = Plugin(
    load=load,
    weights=WEIGHTS,
    description="Detic (open-vocabulary boxes and masks), native: no detectron2",
    checkpoints=CATALOGUE,
)
