"""bindplug's generator: a stable unCLIP pipeline, conditioned by embeddings of any sense."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bindplug.bridge import VocabularyBridge, cross
from bindplug.embedding import Embedding
from bindplug.errors import BindplugError
from bindplug.plugins import GeneratorPlugin

from .conditioning import conditioning, pipeline_space

HERE = Path(__file__).parent
MEMORY = "memory.safetensors"
WEIGHTS = ("tiny",)


@dataclass(frozen=True)
class Memory:
    """Mean picture embeddings: `names`, `vectors` (N, D), the first `sounding` of which sound."""

    names: list[str]
    vectors: np.ndarray
    sounding: int


class UnCLIPGenerator:
    """A StableUnCLIPImg2ImgPipeline.

    Its decoder knows the region of the space where pictures lie. An embedding of another sense
    points the right way from elsewhere, so where the weights come with a memory of picture
    embeddings, it is replaced by their mean, weighted by a softmax of the similarities. Sounds
    look only among the things that sound.

    Args:
        pipe: the pipeline.
        space: of its image embeddings.
        memory: picture embeddings by name, or None.
        size: height and width of its pictures, pixels.
    """

    def __init__(self, pipe, space: str, memory: Memory | None = None, size: int = 768):
        self.pipe, self.space, self.size, self.memory = pipe, space, size, memory

    def picture_like(self, embedding: Embedding) -> Embedding:
        """The embedding in the region of the space that the decoder knows."""
        if self.memory is None or embedding.modality == "image":
            return embedding
        names, vectors = self.memory.names, self.memory.vectors
        if embedding.modality == "audio":
            names, vectors = names[: self.memory.sounding], vectors[: self.memory.sounding]
        return VocabularyBridge(self.space, self.space, names, vectors, vectors)(embedding)

    def generate(
        self,
        embedding: Embedding,
        num_images: int = 1,
        seed: int = 0,
        steps: int = 20,
        guidance_scale: float = 3.0,
        noise_level: int = 0,
        height: int | None = None,
        width: int | None = None,
        bridge=None,
        progress: bool = False,
    ) -> list:
        """`num_images` PIL pictures for each row of the embedding, row by row.

        Picture i of a row is made with the seed `seed + i`, whatever `num_images` is.

        Raises:
            BindplugError: a number out of its range.
            SpaceMismatch: no bridge can be built to the pipeline's space.
        """
        import torch

        for name, value, least in (
            ("num_images", num_images, 1),
            ("steps", steps, 1),
            ("height", height or self.size, 8),
            ("width", width or self.size, 8),
        ):
            if value < least or (least == 8 and value % 8):
                raise BindplugError(
                    f"{name} {value}; give {'a multiple of 8' if least == 8 else 'at least 1'}"
                )
        self.pipe.set_progress_bar_config(disable=not progress)
        pictures = []
        for row in range(len(embedding)):
            # Row by row, so that a picture does not depend on its neighbours' rounding.
            prompt = self.picture_like(cross(embedding[row], self.space, bridge)[0])
            for i in range(num_images):
                generator = torch.Generator("cpu").manual_seed(seed + i)
                # The pipeline draws the embedding's noise from the global state.
                with torch.random.fork_rng():
                    torch.manual_seed(seed + i)
                    out = self.pipe(
                        **conditioning(self.pipe, prompt, noise_level=noise_level),
                        num_inference_steps=steps,
                        guidance_scale=guidance_scale,
                        height=height or self.size,
                        width=width or self.size,
                        generator=generator,
                    )
                pictures.append(out.images[0])
        return pictures


def read_memory(folder: Path) -> Memory | None:
    if not (folder / MEMORY).exists():
        return None
    from safetensors.numpy import load_file

    about = json.loads((folder / "memory.json").read_text())
    vectors = load_file(folder / MEMORY)["vectors"].astype(np.float32)
    return Memory(about["names"], vectors, about["sounding"])


def load(weights: str, device: str) -> UnCLIPGenerator:
    """The tiny pipeline of this package, or a diffusers pipeline folder as "local:PATH"."""
    import torch
    from diffusers import StableUnCLIPImg2ImgPipeline
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    folder = HERE / weights if weights in WEIGHTS else Path(weights.removeprefix("local:"))
    if not (folder / "model_index.json").is_file():
        raise BindplugError(f"{folder}: not a diffusers pipeline folder (no model_index.json)")
    for log in (diffusers_logging, transformers_logging):
        log.disable_progress_bar()
        log.set_verbosity_error()
    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    try:
        pipe = StableUnCLIPImg2ImgPipeline.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as err:
        reason = str(err).strip().splitlines()[0]
        raise BindplugError(f"{folder}: cannot be loaded as a pipeline: {reason}") from err
    if (folder / "bindplug.json").is_file():
        pipe.bindplug_space = json.loads((folder / "bindplug.json").read_text())["space"]
    size = pipe.unet.config.sample_size * pipe.vae_scale_factor
    space = pipeline_space(pipe)
    if space is None:
        raise BindplugError(f"{folder}: its embeddings' space is unknown to bindplug")
    return UnCLIPGenerator(pipe.to(device, dtype), space, read_memory(folder), size)


PLUGIN = GeneratorPlugin(
    load=load, weights=WEIGHTS, about="stable unCLIP (diffusers), conditioned by an embedding"
)
