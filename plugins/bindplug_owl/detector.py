"""OWL-ViT and OWLv2 (Minderer et al. 2022, 2023) with an embedding as query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bindplug.detection.detector import PromptedDetector, Proposals
from bindplug.detection.query import Query
from bindplug.detection.results import Detections
from bindplug.errors import BindplugError
from bindplug.models.hub import open_pretrained
from bindplug.plugins import Plugin

HUB = {
    "owlvit-base": "google/owlvit-base-patch32",
    "owlvit-large": "google/owlvit-large-patch14",
    "owlv2-base": "google/owlv2-base-patch16-ensemble",
    "owlv2-large": "google/owlv2-large-patch14-ensemble",
}
TEMPLATES = ("a photo of a {}",)  # as OWL's authors query
THRESHOLD = 0.1  # transformers' own default for these models


class OwlDetector(PromptedDetector):
    """An OWL model whose queries are embeddings of its own text space.

    Args:
        model: an `OwlViTForObjectDetection` or `Owlv2ForObjectDetection`, in evaluation mode.
        processor: its image processor.
        space: a name for the space of its text tower.
    """

    score_threshold, templates = THRESHOLD, TEMPLATES

    def __init__(self, model, processor, space: str, name: str = "owl"):
        from bindplug.embedding.embedder import Embedder

        from .text import OwlText

        self.model, self.processor = model, processor
        self.space, self.name = space, f"owl/{name}"
        device = str(next(model.parameters()).device)
        self.embedder = Embedder(OwlText(model), space, device, fingerprint=name)

    def encode_images(self, images: list) -> list:
        import torch

        weight = next(self.model.parameters())
        x = self.processor(images=images, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            maps, _ = self.model.image_embedder(x.to(weight.device, weight.dtype))
            tokens = maps.flatten(1, 2)
            boxes = self.model.box_predictor(tokens, maps)
        return [Encoded(t[None], b[None]) for t, b in zip(tokens, boxes, strict=True)]

    def find(
        self, encoded, size: tuple[int, int], query: Query, score_threshold: float,
        max_detections: int, masks: bool,
    ):  # fmt: skip
        """Detections, without masks."""
        import torch

        rows = torch.from_numpy(query.vectors)[None].to(encoded.tokens)
        with torch.inference_mode():
            logits, _ = self.model.class_predictor(encoded.tokens, rows)
            scores = query.suppress_negatives(query.to_probabilities(logits[0].float()))
        best, ids = scores.max(dim=1)
        order = best.argsort(descending=True, stable=True)
        order = order[best[order] > score_threshold][:max_detections]
        boxes = self._boxes(encoded, size)[order.cpu().numpy()]
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return Detections(
            boxes=boxes[inside],
            scores=best[order].cpu().numpy()[inside],
            class_ids=ids[order].cpu().numpy()[inside],
            masks=None,
            height=size[1],
            width=size[0],
        )

    def propose(self, encoded, size: tuple[int, int]) -> Proposals:
        """The patches' boxes by objectness, which only OWLv2 has."""
        import torch
        from torchvision.ops import nms

        if not hasattr(self.model, "objectness_predictor"):
            return super().propose(encoded, size)
        with torch.inference_mode():
            scores = self.model.objectness_predictor(encoded.tokens)[0].float().sigmoid().cpu()
        boxes = torch.from_numpy(self._boxes(encoded, size))
        keep = nms(boxes, scores, 0.5).numpy()
        return Proposals(boxes.numpy()[keep], scores.numpy()[keep])

    def _boxes(self, encoded, size: tuple[int, int]) -> np.ndarray:
        """(n, 4) xyxy in pixels, clipped; OWLv2's are relative to a square of the longer side."""
        width, height = size
        across, down = (max(size),) * 2 if hasattr(self.model, "owlv2") else size
        centre, half = encoded.boxes[0].float().cpu().numpy().reshape(-1, 2, 2).transpose(1, 0, 2)
        boxes = np.concatenate([centre - half / 2, centre + half / 2], axis=1)
        boxes = boxes * np.float32([across, down, across, down])
        return boxes.clip(0, [width, height, width, height]).astype(np.float32)


@dataclass(frozen=True)
class Encoded:
    """One image's patches: tokens (1, n, width), boxes (1, n, 4) as relative cx, cy, w, h."""

    tokens: object
    boxes: object


def load(weights: str, device: str, dtype: str = "float32") -> OwlDetector:
    """An OWL model of the Hugging Face hub by its short name, or "local:FOLDER".

    Raises:
        BindplugError: it is not there, cannot be fetched, or is no OWL model.
    """
    from transformers import AutoImageProcessor, AutoModelForZeroShotObjectDetection

    model, processor, path = open_pretrained(
        AutoModelForZeroShotObjectDetection, AutoImageProcessor, weights, HUB, "an OWL model",
        device, dtype,
    )  # fmt: skip
    if not (hasattr(model, "owlv2") or hasattr(model, "owlvit")):
        raise BindplugError(f"{weights}: is a {type(model).__name__}, not an OWL model")
    return OwlDetector(model, processor, f"owl/{path}", weights)


PLUGIN = Plugin(
    load=load,
    weights=(),
    description="OWL-ViT and OWLv2 (transformers): open-vocabulary boxes; Apache-2.0",
    hub=tuple(HUB),
)
