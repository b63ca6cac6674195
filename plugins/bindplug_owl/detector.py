"""OWL-ViT and OWLv2 (Minderer et al. 2022, 2023) with an embedding as query."""

from bindplug.detection.detector import PromptedDetector, Proposals
from bindplug.detection.results import Detections, best_regions
from bindplug.errors import BindplugError
from bindplug.models.hub import open_pretrained, pretrained_fingerprint
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
        fingerprint: of its weights; "" is unknown, and then no text vectors are kept.
    """

    score_threshold, templates = THRESHOLD, TEMPLATES

    def __init__(self, model, processor, space: str, name: str = "owl", fingerprint: str = ""):
        from bindplug.embedding.embedder import Embedder

        from .text import OwlText

        self.model, self.processor = model, processor
        self.space, self.name, self.fingerprint = space, f"owl/{name}", fingerprint
        device = str(model.device)
        self.embedder = Embedder(OwlText(model), space, device, fingerprint=fingerprint)

    def encode_images(self, images: list) -> list[tuple]:
        """Each image's patches: tokens (n, width), and boxes (n, 4) as relative cx, cy, w, h."""
        import torch

        x = self.processor(images=images, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            maps, _ = self.model.image_embedder(x.to(self.model.device, self.model.dtype))
            tokens = maps.flatten(1, 2)
            boxes = self.model.box_predictor(tokens, maps)
        return list(zip(tokens, boxes, strict=True))

    def find(self, encoded, size, query, score_threshold, max_detections, masks) -> Detections:
        """Detections, without masks."""
        import torch

        tokens = encoded[0][None]
        with torch.inference_mode():
            rows = torch.from_numpy(query.vectors)[None].to(tokens)
            logits, _ = self.model.class_predictor(tokens, rows)
            scores = query.suppress_negatives(query.to_probabilities(logits[0].float()))
        boxes = self._boxes(encoded, size)
        return best_regions(boxes, scores, size, score_threshold, max_detections)

    def propose(self, encoded, size: tuple[int, int]) -> Proposals:
        """The patches' boxes by objectness, which only OWLv2 has."""
        import torch
        from torchvision.ops import nms

        if not hasattr(self.model, "objectness_predictor"):
            return super().propose(encoded, size)
        with torch.inference_mode():
            scores = self.model.objectness_predictor(encoded[0][None])[0].float().sigmoid().cpu()
        boxes = self._boxes(encoded, size)
        keep = nms(boxes, scores, 0.5)
        return Proposals(boxes[keep].numpy(), scores[keep].numpy())

    def _boxes(self, encoded, size: tuple[int, int]):
        """(n, 4) xyxy in pixels, clipped; OWLv2's are relative to a square of the longer side."""
        from torchvision.ops import box_convert, clip_boxes_to_image

        scale = (max(size),) * 2 if hasattr(self.model, "owlv2") else size
        boxes = box_convert(encoded[1].float().cpu(), "cxcywh", "xyxy")
        return clip_boxes_to_image(boxes * boxes.new_tensor(scale * 2), size[::-1])


def load(weights: str, device: str, dtype: str = "float32") -> OwlDetector:
    """An OWL model of the Hugging Face hub by its short name, or "local:FOLDER".
    Raises BindplugError: it is not there, cannot be fetched, or is no OWL model."""
    from transformers import AutoImageProcessor, AutoModelForZeroShotObjectDetection

    model, processor, path = open_pretrained(
        AutoModelForZeroShotObjectDetection, AutoImageProcessor, weights, HUB, "an OWL model",
        device, dtype,
    )  # fmt: skip
    if not (hasattr(model, "owlv2") or hasattr(model, "owlvit")):
        raise BindplugError(f"{weights}: is a {type(model).__name__}, not an OWL model")
    fingerprint = pretrained_fingerprint(path, dtype)
    return OwlDetector(model, processor, f"owl/{path}", weights, fingerprint)


PLUGIN = Plugin(
    load=load,
    description="OWL-ViT and OWLv2 (transformers): open-vocabulary boxes; Apache-2.0",
    hub=tuple(HUB),
)
