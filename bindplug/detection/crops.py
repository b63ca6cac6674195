"""A detector's boxes, cut out and embedded by ImageBind's own image trunk: no space is crossed.

The rule is OWOD-BIND's (arXiv 2309.06728): boxes that hold something, whatever it is; each is cut
out with its background blanked and embedded as an image; a softmax over the boxes of the cosines
to the prompt; boxes that cover more than 98 % of the image are left out. Here the prompts or the
words of a vocabulary can compete for each box instead, as in `bindplug.detection.query`.
"""

from typing import NamedTuple

import numpy as np

from ..bridge import Target
from ..bridge.bridge import TEMPERATURE
from ..embedding.vectors import Embedding
from ..errors import BindplugError
from .query import build_query
from .results import Detections

BOXES = 64  # of an image, the best
LARGEST = 0.98  # share of the image
BLANK = 127  # gray


class Cut(NamedTuple):
    """An image's boxes (n, 4) with their objectness (n,), masks (n, H, W) or None, and the
    vectors (n, D) of what is in them."""

    boxes: np.ndarray
    objectness: np.ndarray
    masks: np.ndarray | None
    vectors: np.ndarray


class Crops:
    """Prompts of a space that also embeds images.

    Args:
        embedding: each row a prompt.
        competition: "words" (default), "prompts" or "none", which is the softmax over the boxes.
        negative, vocabulary: as in `PromptedDetector.detect`.

    Raises SpaceMismatch: no embedder of the space is at hand; BindplugError: it does not embed
    images."""

    def __init__(self, embedding: Embedding, competition=None, negative=None, vocabulary=None):
        from ..models.load import embedder_of

        self.embedder = embedding.embedder or embedder_of(embedding.space)
        if "image" not in self.embedder.modalities:
            raise BindplugError(
                f"{embedding.space!r} does not embed images; choose another bridge than crops"
            )
        target = Target(embedding.space, embedder=self.embedder)
        self.query = build_query(embedding, target, competition=competition or "words",
                                 negative=negative, vocabulary=vocabulary)  # fmt: skip
        self.query.metadata["bridge"] = "crops"

    def embed(self, detector, features) -> Cut:
        """The detector's best boxes, cut out and embedded."""
        image, size = features.image, features.image.size
        boxes, objectness = (
            np.asarray(x, np.float32) for x in detector.propose(features.encoded, size)
        )
        area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        kept = np.flatnonzero((area > 0) & (area <= LARGEST * size[0] * size[1]))[:BOXES]
        boxes, objectness = boxes[kept], objectness[kept]
        if not len(boxes):
            return Cut(boxes, objectness, None, self.query.vectors[:0])
        masks = detector.masks(features.encoded, size, boxes)
        each = [None] * len(boxes) if masks is None else masks
        cut = [cut_out(image, box, mask) for box, mask in zip(boxes, each, strict=True)]
        return Cut(boxes, objectness, masks, self.embedder.embed(image=cut).vectors)

    def score(self, cut: Cut):
        """(n, prompts) scores of boxes, a tensor."""
        import torch

        logits = torch.from_numpy(cut.vectors @ self.query.vectors.T / TEMPERATURE)
        if self.query.competition == "none":
            return self.query.suppress_negatives(logits.softmax(dim=0))
        objectness = torch.from_numpy(cut.objectness)[:, None]
        scores = (self.query.to_probabilities(logits) * objectness).sqrt()
        return self.query.suppress_negatives(scores)

    def find(self, detector, features, score_threshold: float, max_detections: int) -> Detections:
        """Detections in an encoded image, after non-maximum suppression (IoU 0.5) per prompt."""
        import torch
        from torchvision.ops import batched_nms

        cut, (width, height) = self.embed(detector, features), features.image.size
        best, ids = self.score(cut).max(dim=1)
        kept = batched_nms(torch.from_numpy(cut.boxes), best, ids, 0.5)
        kept = kept[best[kept] > score_threshold][:max_detections].numpy()
        found = Detections(cut.boxes, best.numpy(), ids.numpy(), cut.masks, height, width)
        return found[kept]


def cut_out(image, box: np.ndarray, mask: np.ndarray | None):
    """The box of a PIL image, gray where the mask (H, W) is not."""
    from PIL import Image

    x0, y0 = np.floor(box[:2]).astype(int)
    x1, y1 = np.maximum(np.ceil(box[2:]).astype(int), (x0 + 1, y0 + 1))
    cut = image.crop((x0, y0, x1, y1))
    if mask is None or not mask.any():
        return cut
    inside = Image.fromarray(mask).crop((x0, y0, x1, y1))
    return Image.composite(cut, Image.new("RGB", cut.size, (BLANK,) * 3), inside)
