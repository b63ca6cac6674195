"""bindplug's generator: a diffusers pipeline, conditioned by embeddings of any sense."""

from __future__ import annotations

import json
from contextlib import nullcontext
from inspect import signature
from pathlib import Path

from bindplug.bridge import cross
from bindplug.device import torch_dtype
from bindplug.embedding.vectors import Embedding, compose, slerp
from bindplug.errors import BindplugError
from bindplug.plugins import Plugin

from .candidates import eye_of, nearest, seeds_of
from .conditioning import conditioning, family_of, pipeline_space
from .families import words
from .memory import Memory, memory_of_pictures, read_memory
from .pipelines import HERE, HUB, open_pipeline, starting_from

WEIGHTS = ("tiny",)
AWAY = 0.5  # weight of a negative, where the pipeline has no place for one


class PipelineGenerator:
    """A pipeline of any family that `conditioning` knows.

    Args:
        pipe: the pipeline.
        space: of its embeddings; "words" for one that reads.
        memory: picture embeddings, for a decoder that knows only their region; or None.
        candidates: painted for each picture where `generate` is not told.

    Attributes:
        size: height and width of its pictures, pixels.

    Raises:
        BindplugError: a pipeline that makes no pictures.
    """

    def __init__(self, pipe, space: str, memory: Memory | None = None, candidates: int = 1):
        self.pipe, self.space, self.candidates = pipe, space, candidates
        self.family, self.size = family_of(pipe)[0], _size(pipe)
        self.memory = memory if self.family.REGION == "image" else None

    def prepare(self, embedding: Embedding, bridge=None) -> Embedding:
        """The embedding where the pipeline wants it: in its space, and where it wants pictures'
        and there is a memory, in their region.

        Raises:
            SpaceMismatch: no bridge can be built to the pipeline's space.
        """
        if self.family is words:
            return embedding
        crossed = cross(embedding, self.space, bridge)[0]
        return crossed if self.memory is None else self.memory(crossed)

    def generate(
        self,
        embedding: Embedding,
        num_images: int = 1,
        seed: int = 0,
        *,
        bridge=None,
        negative: Embedding | None = None,
        candidates: int | None = None,
        **settings,
    ) -> list:
        """`num_images` PIL pictures for each row of the embedding, row by row.

        Picture i of a row is made with the seed `seed + i`, whatever `num_images` is.

        Args:
            bridge: into the pipeline's space; None takes the default.
            candidates: so many are painted for each picture, as one batch, and the one whose own
                embedding is nearest to what was asked is kept; None takes the generator's own
                number. Of one, the picture is the pipeline's own at its seed.
            negative: what the pictures shall not be; one row. Where the pipeline has no place for
                it, half of it is taken from the embedding (`compose`).
            settings: as in `paint`.

        Raises:
            BindplugError: a number out of its range, or nobody to compare candidates.
            SpaceMismatch: no bridge can be built to the pipeline's space.
        """
        candidates = self.candidates if candidates is None else candidates
        for name, value in (("num_images", num_images), ("candidates", candidates)):
            if value < 1:
                raise BindplugError(f"{name} {value}; give at least 1")
        away = None
        if negative is not None:
            if self.family is words:
                raise BindplugError("this pipeline reads words; give negative_prompt instead")
            if "negative" in self.family.OPTIONS:
                away = self.prepare(negative, bridge)
            else:
                embedding = compose([(embedding, 1.0), (negative, -AWAY)])
        eye = eye_of(embedding.space) if candidates > 1 else None
        pictures = []
        for row in range(len(embedding)):
            # Row by row, so that a picture does not depend on its neighbours' rounding.
            prompt = self.prepare(embedding[row], bridge)
            wanted = prompt if prompt.space == embedding.space else embedding[row]
            for i in range(num_images):
                seeds = seeds_of(seed + i, candidates)
                painted = self.paint_batch(prompt, seeds, negative=away, **settings)
                pictures.append(painted[nearest(painted, wanted, eye) if eye else 0])
        return pictures

    def morph(
        self, start: Embedding, end: Embedding, frames: int, seed: int = 0, *, bridge=None,
        **settings,
    ) -> list:  # fmt: skip
        """PIL pictures on the arc from one embedding to another, both ends among them, all of one
        seed.

        Args:
            frames: at least 2. settings: as in `paint`.
        """
        if frames < 2:
            raise BindplugError(f"frames {frames}; give at least 2")
        if self.family is words:
            raise BindplugError("this pipeline reads words, which have no in-between")
        a, b = (self.prepare(e, bridge) for e in (start, end))
        return [self.paint(slerp(a, b, i / (frames - 1)), seed, **settings) for i in range(frames)]

    def paint(self, prompt: Embedding, seed: int, **settings):
        """One picture of one row that `prepare` gave; settings as in `paint_batch`."""
        return self.paint_batch(prompt, [seed], **settings)[0]

    def paint_batch(
        self,
        prompt: Embedding,
        seeds: list[int],
        *,
        steps: int = 20,
        guidance_scale: float = 3.0,
        noise_level: int = 0,
        height: int | None = None,
        width: int | None = None,
        text: str = "",
        negative_text: str = "",
        negative: Embedding | None = None,
        start=None,
        strength: float = 0.6,
        progress: bool = False,
    ) -> list:
        """A picture of each seed, of one row that `prepare` gave, in one call of the pipeline.

        Args:
            text, negative_text: beside the embedding, for pipelines that read.
            negative: as `prepare` gives it, for families that take one.
            start: a PIL picture that is painted over; `strength` of it, above 0, up to 1.
            height, width: pixels, multiples of 8; None takes the pipeline's own.
        """
        import torch

        height, width = height or self.size, width or self.size
        for name, value, least in (("steps", steps, 1), ("height", height, 8), ("width", width, 8)):
            if value < least or (least == 8 and value % 8):
                raise BindplugError(
                    f"{name} {value}; give {'a multiple of 8' if least == 8 else 'at least 1'}"
                )
        options = {"noise_level": noise_level, "guidance": guidance_scale > 1, "negative": negative}
        options = {k: v for k, v in options.items() if k in self.family.OPTIONS}
        if noise_level and "noise_level" not in options:
            raise BindplugError(f"{type(self.pipe).__name__} has no noise level")
        call = self.family.settings(steps, guidance_scale, height, width)
        if negative_text:
            if "negative_prompt" not in signature(self.pipe.__call__).parameters:
                raise BindplugError(f"{type(self.pipe).__name__} has no negative prompt")
            call["negative_prompt"] = [negative_text] * len(seeds)
        self.pipe.set_progress_bar_config(disable=not progress)
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        begin = nullcontext()
        if start is not None:
            begin = starting_from(self.pipe, start, strength, (height, width), steps, generators)
        with begin as latents, torch.random.fork_rng():
            torch.manual_seed(seeds[0])  # stable unCLIP draws the embedding's noise from this state
            if latents is not None:
                call["latents"] = latents
            out = self.pipe(
                **conditioning(self.pipe, prompt, prompt=text, num_images=len(seeds), **options),
                **call,
                generator=generators,
            )
        return out.images


def load(
    weights: str, device: str, dtype: str | None = None, offload: bool = False,
    memory: str | Path | None = None,
) -> PipelineGenerator:  # fmt: skip
    """The tiny pipeline of this package, a catalogued one by name, or a folder as "local:PATH".

    Args:
        dtype: None is float16 on a GPU, else float32.
        offload: keep on the GPU only the part that works (accelerate).
        memory: picture embeddings of one's own, see `bindplug_unclip.memory`.

    Raises:
        BindplugError: weights that are not there or not known, or offload without a GPU.
    """
    folder = None
    if weights not in HUB:
        folder = HERE / weights if weights in WEIGHTS else Path(weights.removeprefix("local:"))
    pipe = open_pipeline(weights, folder)
    metadata = {}
    if folder is not None and (folder / "bindplug.json").is_file():
        metadata = json.loads((folder / "bindplug.json").read_text())
        pipe.bindplug_space = metadata["space"]
    space = pipeline_space(pipe)
    if space is None:
        raise BindplugError(f"{folder}: its embeddings' space is unknown to bindplug")
    on_gpu = device.startswith("cuda")
    pipe = pipe.to(torch_dtype(dtype or ("float16" if on_gpu else "float32")))
    if offload:
        if not on_gpu:
            raise BindplugError("offload moves parts to a GPU when they work; here is none")
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe = pipe.to(device)
    kept = None
    if memory is not None:
        kept = memory_of_pictures(memory, space)
    elif folder is not None:
        kept = read_memory(folder, space)
    return PipelineGenerator(pipe, space, kept, metadata.get("candidates", 1))


def _size(pipe) -> int:
    """Height and width of a pipeline's pictures, pixels."""
    if hasattr(pipe, "super_res_last"):  # Karlo's own
        return pipe.super_res_last.config.sample_size
    for scale in ("vae_scale_factor", "movq_scale_factor"):
        if hasattr(pipe, scale):
            return pipe.unet.config.sample_size * getattr(pipe, scale)
    raise BindplugError(f"{type(pipe).__name__} makes no pictures; use it through `conditioning`")


PLUGIN = Plugin(
    load=load,
    weights=WEIGHTS,
    description="diffusers pipelines conditioned by an embedding: stable unCLIP, Karlo, ...",
    hub=tuple(HUB),
)
