"""OWL-ViT and OWLv2 (Minderer et al. 2022, 2023) with an embedding as query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bindplug.bridge import Bridge, cross
from bindplug.embedding import Embedding
from bindplug.errors import BindplugError
from bindplug.plugins import DetectorPlugin, register_speaker
from bindplug.results import Detections
from bindplug.transforms.vision import image_name, load_image

HUB = {
    "owlvit-base": "google/owlvit-base-patch32",
    "owlvit-large": "google/owlvit-large-patch14",
    "owlv2-base": "google/owlv2-base-patch16-ensemble",
    "owlv2-large": "google/owlv2-large-patch14-ensemble",
}
TEMPLATES = ("a photo of a {}",)  # as OWL's authors query
THRESHOLD = 0.1  # transformers' own default for these models


@dataclass(frozen=True)
class Features:
    """What the image tower makes of one picture, for any number of prompts.

    Attributes:
        tokens: (1, patches, width); `boxes` (1, patches, 4) relative to the padded picture.
        picture: RGB, PIL; `name` says where it came from.
    """

    tokens: object
    boxes: object
    picture: object
    name: str


class OwlDetector:
    """An OWL model whose queries are embeddings of its own text space.

    Args:
        model: an `OwlViTForObjectDetection` or `Owlv2ForObjectDetection`, in evaluation mode.
        processor: its image processor.
        space: a name for the space of its text tower.
    """

    threshold = THRESHOLD

    def __init__(self, model, processor, space: str, name: str = "owl"):
        from bindplug.embedder import Embedder

        from .text import OwlText

        self.model, self.processor = model, processor
        self.space, self.name = space, name
        text = OwlText(model)
        device = str(next(model.parameters()).device)
        self.speaker = Embedder(lambda senses: text, space, ("text",), device, identity=name)
        register_speaker(self.speaker)

    def features(self, image) -> Features:
        """Look at a picture once.

        Args:
            image: as in `bindplug.transforms.vision.load_image`; a file's EXIF orientation is
                applied.

        Raises:
            BindplugError: a picture that cannot be read.
        """
        import torch

        picture = load_image(image, upright=True)
        weight = next(self.model.parameters())
        x = self.processor(images=picture, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            maps, _ = self.model.image_embedder(x.to(weight.device, weight.dtype))
            tokens = maps.flatten(1, 2)
            boxes = self.model.box_predictor(tokens, maps)
        return Features(tokens, boxes, picture, image_name(image))

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
            image: as in `features`, or what `features` gave.
            embedding: of any space that speaks text; from another space it crosses by `bridge`.
            threshold: least score, in [0, 1]; None takes 0.1.

        Raises:
            BindplugError: a picture that cannot be read.
            SpaceMismatch: no bridge can be built.
        """
        import torch

        prompt, taken = cross(embedding, self.space, bridge, TEMPLATES)
        seen = image if isinstance(image, Features) else self.features(image)
        queries = torch.from_numpy(prompt.vectors)[None].to(seen.tokens)
        with torch.inference_mode():
            logits, _ = self.model.class_predictor(seen.tokens, queries)
        width, height = seen.picture.size
        least = self.threshold if threshold is None else threshold
        outputs = _Outputs(logits.float(), seen.boxes.float())
        [found] = self.processor.post_process_object_detection(outputs, least, [(height, width)])
        order = found["scores"].argsort(descending=True, stable=True)[:top_k]
        boxes = found["boxes"][order].cpu().numpy()
        boxes = boxes.clip(0, [width, height, width, height]).astype(np.float32)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        about = {
            "model": embedding.space,
            "detector": f"owl/{self.name}",
            "bridge": str(taken),
        }
        return Detections(
            boxes=boxes[inside],
            scores=found["scores"][order].cpu().numpy()[inside],
            class_ids=found["labels"][order].cpu().numpy()[inside],
            masks=None,
            height=height,
            width=width,
            names=prompt.labels,
            image=seen.name,
            picture=seen.picture,
            about=about,
        )


@dataclass(frozen=True)
class _Outputs:
    """The two fields that transformers' post-processing reads."""

    logits: object
    pred_boxes: object


def load(weights: str, device: str) -> OwlDetector:
    """An OWL model of the Hugging Face hub by its short name, or "local:FOLDER".

    Raises:
        BindplugError: it is not there, cannot be fetched, or is no OWL model.
    """
    from transformers import AutoImageProcessor, AutoModelForZeroShotObjectDetection

    from bindplug.weights import is_offline

    path = HUB.get(weights, weights.removeprefix("local:"))
    if weights not in HUB and not Path(path).is_dir():
        raise BindplugError(f"{path}: no such folder; give one that transformers saved a model to")
    try:
        offline = is_offline()
        model = AutoModelForZeroShotObjectDetection.from_pretrained(path, local_files_only=offline)
        processor = AutoImageProcessor.from_pretrained(path, local_files_only=offline)
    except Exception as err:  # transformers and the hub raise many kinds
        reason = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise BindplugError(f"{weights}: cannot be loaded as an OWL model: {reason}") from err
    if not (hasattr(model, "owlv2") or hasattr(model, "owlvit")):
        raise BindplugError(f"{weights}: is a {type(model).__name__}, not an OWL model")
    return OwlDetector(model.eval().to(device), processor, f"owl/{path}", weights)


PLUGIN = DetectorPlugin(
    load=load,
    weights=(),
    about="OWL-ViT and OWLv2 (transformers): open-vocabulary boxes; Apache-2.0",
    hub=tuple(HUB),
)
