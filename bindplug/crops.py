"""A detector's boxes, asked about by ImageBind's own image trunk: no space is crossed.

The rule is OWOD-BIND's (arXiv 2309.06728): boxes that hold something, whatever it is; each is cut
out with its background blanked and embedded as a picture; a softmax over the boxes of the cosines
to the prompt; boxes that cover more than 98 % of the picture are left out. Here the prompts or the
words of a vocabulary can compete for each box instead, as in `bindplug.query`.
"""

from __future__ import annotations

import numpy as np

from .bridge import TEMPERATURE
from .embedding import Embedding
from .errors import BindplugError
from .query import ask
from .results import Detections

BOXES = 64  # of a picture, the best
LARGEST = 0.98  # share of the picture
BLANK = 127  # gray


class Crops:
    """Prompts of a space that also embeds pictures.

    Args:
        embedding: each row a prompt.
        contrast: "words" (default), "prompts" or "none", which is the softmax over the boxes.
        negative, vocabulary: as in `PromptedDetector.detect`.

    Raises:
        SpaceMismatch: no embedder speaks the space.
        BindplugError: one does that embeds no pictures.
    """

    def __init__(self, embedding: Embedding, contrast=None, negative=None, vocabulary=None):
        from .plugins import speaker

        self.embedder = speaker(embedding.space)
        if "image" not in self.embedder.senses:
            raise BindplugError(f"{embedding.space!r} does not embed pictures, so no crops")
        self.query = ask(embedding, embedding.space, contrast=contrast or "words",
                         negative=negative, vocabulary=vocabulary)  # fmt: skip
        self.query.about["bridge"] = "crops"

    def find(self, detector, features, least: float, most: int) -> Detections:
        """Detections in what a detector saw."""
        import torch
        from torchvision.ops import batched_nms

        picture, size = features.picture, features.picture.size
        proposals = detector.propose(features.seen, size)
        area = (proposals.boxes[:, 2:] - proposals.boxes[:, :2]).prod(axis=1)
        kept = np.flatnonzero((area > 0) & (area <= LARGEST * size[0] * size[1]))[:BOXES]
        boxes, objectness = proposals.boxes[kept], torch.from_numpy(proposals.scores[kept])
        scores = torch.zeros(0, len(self.query.labels))
        if len(boxes):
            masks = detector.masks(features.seen, size, boxes)
            cut = [cut_out(picture, b, None if masks is None else masks[i])
                   for i, b in enumerate(boxes)]  # fmt: skip
            vectors = self.embedder.embed(image=cut).vectors
            logits = torch.from_numpy(vectors @ self.query.vectors.T / TEMPERATURE)
            if self.query.contrast == "none":
                scores = self.query.settle(logits.softmax(dim=0))
            else:
                scores = self.query.settle((self.query.read(logits) * objectness[:, None]).sqrt())
        best, ids = scores.max(dim=1) if len(scores) else (torch.zeros(0), torch.zeros(0).long())
        rows = torch.nonzero(best > least)[:, 0]
        rows = rows[batched_nms(torch.from_numpy(boxes)[rows], best[rows], ids[rows], 0.5)][:most]
        chosen = boxes[rows.numpy()]
        return Detections(
            boxes=chosen,
            scores=best[rows].numpy(),
            class_ids=ids[rows].numpy(),
            masks=masks[rows.numpy()] if len(boxes) and masks is not None else None,
            height=size[1],
            width=size[0],
        )


def cut_out(picture, box: np.ndarray, mask: np.ndarray | None):
    """The box of a PIL picture, gray where the mask (H, W) is not."""
    from PIL import Image

    x0, y0 = np.floor(box[:2]).astype(int)
    x1, y1 = np.maximum(np.ceil(box[2:]).astype(int), (x0 + 1, y0 + 1))
    cut = picture.crop((x0, y0, x1, y1))
    if mask is None or not mask.any():
        return cut
    inside = Image.fromarray(mask).crop((x0, y0, x1, y1))
    return Image.composite(cut, Image.new("RGB", cut.size, (BLANK,) * 3), inside)
