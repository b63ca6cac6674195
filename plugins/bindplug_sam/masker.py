"""SAM (Kirillov et al., ICCV 2023) and SAM 2 (Ravi et al., 2024): masks of what is in boxes."""

import numpy as np

from bindplug.errors import BindplugError
from bindplug.models.hub import open_pretrained, pretrained_fingerprint
from bindplug.plugins import Plugin

HUB = {
    "sam-base": "facebook/sam-vit-base",
    "sam-large": "facebook/sam-vit-large",
    "sam-huge": "facebook/sam-vit-huge",
    "sam2.1-tiny": "facebook/sam2.1-hiera-tiny",
    "sam2.1-small": "facebook/sam2.1-hiera-small",
    "sam2.1-base-plus": "facebook/sam2.1-hiera-base-plus",
    "sam2.1-large": "facebook/sam2.1-hiera-large",
}
BATCH = 32  # boxes at once


class SamMasker:
    """A SAM or SAM 2 that segments the objects in boxes.

    Args:
        model: a `SamModel` or `Sam2Model`, in evaluation mode.
        processor: its processor.
    """

    def __init__(self, model, processor, name: str = "sam", fingerprint: str = ""):
        self.model, self.processor = model, processor
        self.name, self.fingerprint = f"sam/{name}", fingerprint

    def encode_image(self, image):
        """The image encoder's features of a PIL image, for `masks`."""
        import torch

        x = self.processor(images=image, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            return self.model.get_image_embeddings(x.to(self.model.device, self.model.dtype))

    def masks(self, encoded, image, boxes: np.ndarray) -> np.ndarray:
        """(n, H, W) bool of the objects in (n, 4) xyxy boxes, in pixels of the PIL image."""
        import torch

        out = [np.zeros((0, image.height, image.width), dtype=bool)]
        for start in range(0, len(boxes), BATCH):
            own = [boxes[start : start + BATCH].tolist()]
            x = self.processor(images=image, input_boxes=own, return_tensors="pt")
            prompt = x["input_boxes"].to(self.model.device, self.model.dtype)
            with torch.inference_mode():
                found = self.model(
                    input_boxes=prompt, image_embeddings=encoded, multimask_output=False
                ).pred_masks
            # The first SAM pads its images.
            sizes = [x[k] for k in ("original_sizes", "reshaped_input_sizes") if k in x]
            processor = self.processor.image_processor
            [masks] = processor.post_process_masks(found.float().cpu(), *sizes)
            out.append(masks[:, 0].numpy().astype(bool))
        return np.concatenate(out)


def load(weights: str, device: str, dtype: str = "float32") -> SamMasker:
    """A SAM or SAM 2 of the Hugging Face hub by its short name, or "local:FOLDER".
    Raises BindplugError: it is not there, cannot be fetched, or is another model."""
    from transformers import AutoModelForMaskGeneration, AutoProcessor

    model, processor, path = open_pretrained(
        AutoModelForMaskGeneration, AutoProcessor, weights, HUB, "a SAM", device, dtype
    )
    if not hasattr(model, "get_image_embeddings"):
        raise BindplugError(f"{weights}: is a {type(model).__name__}, not a SAM or SAM 2")
    return SamMasker(model, processor, weights, pretrained_fingerprint(path, dtype))


PLUGIN = Plugin(
    load=load, description="SAM and SAM 2 (transformers): masks of boxes; Apache-2.0",
    hub=tuple(HUB),
)  # fmt: skip
