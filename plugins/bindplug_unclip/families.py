"""Families of diffusers pipelines; `family.Family` says what a family is."""

from typing import ClassVar

import torch
from torch import Tensor

from bindplug.bridge import to_words
from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError
from bindplug.generation.settings import whole_number

from .family import Family, config_of

CLIP_L14 = "openai-clip-vit-l-14"
CLIP_H14 = "openclip-vit-h-14/laion2b"
CLIP_BIGG14 = "openclip-vit-bigg-14/laion2b"


class StableUnCLIP(Family):
    """StableUnCLIPImg2ImgPipeline: the embedding, noised, is half of the UNet's class label."""

    spaces: ClassVar = {1024: CLIP_H14, 768: CLIP_L14}
    # 20 for released weights: the logit scale that ImageBind's audio embeddings were
    # multiplied by when the public demos conditioned stable unCLIP with them. OpenCLIP's own
    # image embeddings are not normalised either: noise would drown a unit vector.
    released_norm = 20.0
    options = ("noise_level",)

    @classmethod
    def width_of(cls, pipe) -> int | None:
        normalizer = getattr(pipe, "image_normalizer", None)
        return None if normalizer is None else normalizer.mean.shape[-1]

    def arguments(self, rows: Tensor, prompts: list[str], noise_level: int = 0) -> dict:
        """
        Args:
            noise_level: 0 to 999, noise on the embedding before it conditions.
        """
        return {
            "image_embeds": self.place(rows),
            "prompt": prompts,  # a list, or diffusers fails for more than one row
            "noise_level": whole_number("noise level", noise_level, 0, 999),
        }


class Kandinsky(Family):
    """KandinskyV22Pipeline: the embedding takes the place of the prior's. Its norm hardly matters:
    two linear layers with a LayerNorm follow."""

    spaces: ClassVar = {1280: CLIP_BIGG14}
    options = ("negative",)

    @classmethod
    def width_of(cls, pipe) -> int | None:
        config = config_of(pipe, "unet")
        is_one = config.get("encoder_hid_dim_type") == "image_proj"
        return config["encoder_hid_dim"] if is_one else None

    def arguments(
        self, rows: Tensor, prompts: list[str], negative: Embedding | None = None
    ) -> dict:
        """
        Args:
            negative: what images are steered away from, one row or one for each; None is zeros.
        """
        self.refuse_prompts(prompts)
        away = self.negative_rows(negative, rows)
        return {"image_embeds": self.place(rows), "negative_image_embeds": self.place(away)}


class IPAdapter(Family):
    """Any pipeline with one plain IP-Adapter in its UNet (Stable Diffusion 1.5, SDXL): the
    embedding becomes prompt tokens."""

    spaces: ClassVar = {1024: CLIP_H14, 1280: CLIP_BIGG14}
    options = ("guidance", "negative")

    @classmethod
    def width_of(cls, pipe) -> int | None:
        """Raises BindplugError: an adapter that reads patches ("plus", "full face"), or several
        adapters."""
        adapters = getattr(getattr(pipe, "unet", None), "encoder_hid_proj", None)
        layers = getattr(adapters, "image_projection_layers", None)
        if layers is None:
            return None
        if len(layers) != 1:
            raise BindplugError(f"{len(layers)} IP-Adapters are loaded; bindplug conditions one")
        projection = getattr(layers[0], "image_embeds", None)
        if projection is None:
            raise BindplugError(
                f"this IP-Adapter ({type(layers[0]).__name__}) reads an image's patches, not its "
                "embedding; load a plain one: ip-adapter_sd15 or ip-adapter_sdxl_vit-h"
            )
        return projection.in_features

    @property
    def norm(self) -> float:
        """About the length of OpenCLIP's image embeddings before normalisation. The adapter's
        LayerNorm makes lengths above 5 equivalent."""
        return 20.0

    def arguments(
        self, rows: Tensor, prompts: list[str], guidance: bool = True,
        negative: Embedding | None = None,
    ) -> dict:  # fmt: skip
        """
        Args:
            guidance: whether the call uses classifier-free guidance (a guidance scale above 1),
                which wants the unconditional half before the rows.
            negative: one row that images are steered away from; None is zeros.
        """
        row = self.one_row(rows)
        halves = [self.negative_rows(negative, row), row] if guidance else [row]
        return {"ip_adapter_image_embeds": [self.place(torch.stack(halves))], "prompt": prompts}


class Karlo(Family):
    """UnCLIPPipeline, an open unCLIP (DALL-E 2, arXiv 2204.06125): the embedding takes the text
    embedding's place before the prior, as in the ImageBind paper; the prior makes the image
    embedding of it. Its size is its super-resolution network's."""

    spaces: ClassVar = {768: CLIP_L14}
    released_norm = 10.0  # about the length of CLIP ViT-L/14's embeddings before normalisation
    region = "text"
    setting_names: ClassVar = {"steps": "decoder_num_inference_steps",
                               "guidance_scale": "decoder_guidance_scale"}  # fmt: skip

    @classmethod
    def width_of(cls, pipe) -> int | None:
        is_one = hasattr(pipe, "prior") and hasattr(pipe, "super_res_first")
        return pipe.text_encoder.config.projection_dim if is_one else None

    @property
    def size(self) -> int:
        return self.pipe.super_res_last.config.sample_size

    def arguments(self, rows: Tensor, prompts: list[str]) -> dict:
        """Rows as pooled text; the token states, the other half of the condition, are the prompt's,
        the empty string's by default."""
        pipe = self.pipe
        tokens = pipe.tokenizer(
            prompts, padding="max_length", max_length=pipe.tokenizer.model_max_length,
            truncation=True, return_tensors="pt",
        ).to(pipe.device)  # fmt: skip
        with torch.inference_mode():
            states = pipe.text_encoder(tokens.input_ids).last_hidden_state
        rows = rows.to(pipe.device, states.dtype)
        mask = tokens.attention_mask.bool()
        return {"text_model_output": (rows, states), "text_attention_mask": mask}


class KarloVariation(Karlo):
    """UnCLIPImageVariationPipeline: the embedding takes the place of the one that its CLIP makes of
    an image."""

    region, network = "image", "decoder"

    @classmethod
    def width_of(cls, pipe) -> int | None:
        is_one = hasattr(pipe, "super_res_first") and not hasattr(pipe, "prior")
        return pipe.text_proj.config.clip_embeddings_dim if is_one else None

    def arguments(self, rows: Tensor, prompts: list[str]) -> dict:
        self.refuse_prompts(prompts)
        return {"image_embeddings": self.place(rows)}


class CascadePrior(Family):
    """StableCascadePriorPipeline: an embedding beside the prompt; its decoder is the user's."""

    spaces: ClassVar = {768: CLIP_L14}
    released_norm = 10.0  # as Karlo's
    network = "prior"

    @classmethod
    def width_of(cls, pipe) -> int | None:
        return config_of(pipe, "prior").get("clip_image_in_channels")

    def arguments(self, rows: Tensor, prompts: list[str]) -> dict:
        return {"image_embeds": self.place(self.one_row(rows)[:, None]), "prompt": prompts}


class Words(Family):
    """Any text-to-image pipeline: it reads, so an embedding is given to it in words."""

    region, reads_text = "text", True
    options = ("bridge", "vocabulary")

    @classmethod
    def width_of(cls, pipe) -> int | None:
        return 0 if hasattr(pipe, "text_encoder") and hasattr(pipe, "tokenizer") else None

    def condition(
        self, embedding: Embedding, prompts: list[str], num_images: int, norm: float | None,
        **options,
    ) -> dict:  # fmt: skip
        """
        Args:
            embedding: of any space whose embedder supports text. norm: words have none.
            options: `bridge` and `vocabulary` of the words bridge.
        """
        words = to_words(embedding, **options)
        prompts = [_prompt(row, text) for row, text in zip(words, prompts, strict=True)]
        return self.arguments(None, [text for text in prompts for _ in range(num_images)])

    def arguments(self, rows: None, prompts: list[str]) -> dict:
        return {"prompt": prompts}


def _prompt(words: list[tuple[str, float]], around: str) -> str:
    """At most two words, those with at least half of the first one's probability, put in the place
    of "{}" in the prompt, or before it."""
    words = " and ".join(w for w, p in words[:2] if p >= words[0][1] / 2)
    if "{}" in around:
        return around.replace("{}", words)
    return f"a picture of {words}, {around}" if around else f"a picture of {words}"


# The first that knows a pipeline has it; Words knows any with a text encoder.
FAMILIES: tuple[type[Family], ...] = (
    StableUnCLIP, Kandinsky, IPAdapter, Karlo, KarloVariation, CascadePrior, Words,
)  # fmt: skip
