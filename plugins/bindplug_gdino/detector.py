"""Grounding DINO (Liu et al., ECCV 2024): it reads text, so a sound is put into words for it."""

from bindplug.detection.detector import PromptedDetector
from bindplug.detection.results import Detections, best_regions
from bindplug.errors import BindplugError
from bindplug.models.hub import open_pretrained, pretrained_fingerprint
from bindplug.plugins import Plugin

HUB = {
    "grounding-dino-tiny": "IDEA-Research/grounding-dino-tiny",
    "grounding-dino-base": "IDEA-Research/grounding-dino-base",
}
THRESHOLD = 0.25  # transformers' own default for these models


class GroundingDinoDetector(PromptedDetector):
    """A Grounding DINO whose caption holds the prompts, put into words.

    A caption's words do not attend to each other, as in its authors' training; a word scores by
    its best token.

    Args:
        model: a `GroundingDinoForObjectDetection`, in evaluation mode.
        processor: its `GroundingDinoProcessor`.
    """

    reads_text, score_threshold = True, THRESHOLD

    def __init__(self, model, processor, name: str = "gdino"):
        self.model, self.processor, self.name = model, processor, f"gdino/{name}"

    def encode_images(self, images: list) -> list:
        """Images as the network takes them: image and caption are encoded together, in `find`."""
        processor = self.processor.image_processor
        return [processor(images=image, return_tensors="pt") for image in images]

    def find(self, encoded, size, query, score_threshold, max_detections, masks) -> Detections:
        """Detections, without masks."""
        import torch
        from torchvision.ops import box_convert, clip_boxes_to_image

        ids, spans = self.caption(query.texts)
        ids = ids.to(self.model.device)
        with torch.inference_mode():
            out = self.model(
                pixel_values=encoded["pixel_values"].to(self.model.device, self.model.dtype),
                pixel_mask=encoded["pixel_mask"].to(self.model.device),
                input_ids=ids,
                token_type_ids=torch.zeros_like(ids),
                attention_mask=torch.ones_like(ids),
            )
        logits = out.logits[0].float().cpu()
        words = torch.stack([logits[:, start:end].amax(dim=1) for start, end in spans], dim=1)
        scores = query.suppress_negatives(query.to_probabilities(words))
        boxes = box_convert(out.pred_boxes[0].float().cpu(), "cxcywh", "xyxy")
        boxes = clip_boxes_to_image(boxes * boxes.new_tensor(size * 2), size[::-1])
        return best_regions(boxes, scores, size, score_threshold, max_detections)

    def caption(self, words: tuple[str, ...]):
        """(1, L) token ids of "dog. cat.", and each word's first and last + 1 place in it.
        Raises BindplugError: more words than the model reads."""
        import torch

        tokenizer = self.processor.tokenizer
        end = tokenizer.convert_tokens_to_ids(".")
        ids, spans = [tokenizer.cls_token_id], []
        for word in words:
            text = word.lower().replace(".", " ").strip()
            own = tokenizer(text, add_special_tokens=False)["input_ids"]
            if not own:
                raise BindplugError(f"text {word!r}: holds no word; write what is meant")
            spans.append((len(ids), len(ids) + len(own)))
            ids += [*own, end]
        ids.append(tokenizer.sep_token_id)
        if len(ids) > self.model.config.max_text_len:
            raise BindplugError(
                f"{len(words)} words are {len(ids)} tokens, and {self.name} reads at most "
                f"{self.model.config.max_text_len}; give fewer prompts per call"
            )
        return torch.tensor([ids]), spans


def load(weights: str, device: str, dtype: str = "float32") -> GroundingDinoDetector:
    """A Grounding DINO of the Hugging Face hub by its short name, or "local:FOLDER".
    Raises BindplugError: it is not there, cannot be fetched, or is another model."""
    from transformers import AutoProcessor, GroundingDinoForObjectDetection

    model, processor, path = open_pretrained(
        GroundingDinoForObjectDetection, AutoProcessor, weights, HUB, "a Grounding DINO", device,
        dtype,
    )  # fmt: skip
    detector = GroundingDinoDetector(model, processor, weights)
    detector.fingerprint = pretrained_fingerprint(path, dtype)
    return detector


PLUGIN = Plugin(
    load=load,
    description="Grounding DINO (transformers): boxes of the words a sound is heard as; Apache-2.0",
    hub=tuple(HUB),
)
