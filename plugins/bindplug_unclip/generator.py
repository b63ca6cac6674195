"""bindplug's generator: a diffusers pipeline, conditioned by embeddings of any modality."""

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Lock

from bindplug.bridge import cross
from bindplug.device import torch_dtype
from bindplug.embedding.vectors import Embedding, check_embedding, compose, slerp
from bindplug.errors import BindplugError
from bindplug.generation.settings import MAX_SEED, GenerationSettings, whole_number
from bindplug.plugins import Plugin

from .bank import ImageBank, load_bank, shipped_bank
from .candidates import STRIDE, cosines, image_embedder
from .conditioning import conditioning, family_of
from .pipelines import HERE, HUB, open_pipeline, starting_from
from .progress import showing

WEIGHTS = ("small",)
NEGATIVE_WEIGHT = -0.5  # of a negative in the sum, where the pipeline has no place for one
DEFAULTS = GenerationSettings()
# Pipelines keep the state of a run in their scheduler, and stable unCLIP draws from torch's global
# random state: one call at a time in a process.
_LOCK = Lock()


class PipelineGenerator:
    """A pipeline of any family that `conditioning` knows: a `bindplug.plugins.Generator`.

    Threads may share one: calls of pipelines wait for each other, also those of two generators.
    During a call torch's global random state is the call's own (it is put back afterwards), so
    other code that draws from it in another thread at that time changes images of stable unCLIP;
    and the pipeline must not be called around this class meanwhile.

    Args:
        space: of the pipeline's embeddings; None takes what the pipeline tells.
        bank: image embeddings, for a decoder that was trained on images' alone; or None.
        candidates: images generated for each one that is kept, where `generate` is not told.
        defaults: settings in place of the pipeline's own defaults ("steps", "guidance_scale").
        device: where it runs; None asks the pipeline, which does not know where its parts are
            offloaded.
        fingerprint: of the weights; "" is unknown.

    Raises BindplugError: a pipeline that makes no images, or whose space is unknown."""

    def __init__(
        self, pipe, space: str | None = None, bank: ImageBank | None = None, candidates: int = 1,
        defaults: dict | None = None, device: str | None = None, fingerprint: str = "",
    ):  # fmt: skip
        self.pipe, self.family = pipe, family_of(pipe)
        self.reads_text, self.size = self.family.reads_text, self.family.size
        self.space = "" if self.reads_text else space or self.family.space
        if self.space is None:
            raise BindplugError(
                f"{type(pipe).__name__}: the space of its embeddings is unknown; give it as `space`"
            )
        self.candidates, self.defaults = candidates, dict(defaults or {})
        self.bank = bank if self.family.region == "image" else None
        self.device, self.fingerprint = device or str(pipe.device), fingerprint
        self.dtype = str(pipe.dtype).removeprefix("torch.")

    def prepare(
        self, embedding: Embedding, bridge=None, away: Embedding | None = None
    ) -> Embedding:
        """The embedding in the pipeline's space, less half of the row `away` (1, D) of that space,
        and where there is a bank, projected on it.
        Raises SpaceMismatch: no bridge can be built to the pipeline's space; BindplugError: the
        two cancel out."""
        if self.reads_text:
            return embedding
        crossed = cross(embedding, self.space, bridge)[0]
        if away is not None:
            crossed = compose([(crossed, 1.0), (away, NEGATIVE_WEIGHT)])
        return crossed if self.bank is None else self.bank(crossed)

    def resolve(self, settings: GenerationSettings) -> GenerationSettings:
        """Settings with this pipeline's values in place of None.
        Raises BindplugError: a setting that the pipeline does not have."""
        return self.family.resolve(settings, self.defaults)

    def generate(
        self, embedding: Embedding, num_images: int = 1, seed: int = 0, *, bridge=None,
        candidates: int | None = None, **settings,
    ) -> list:  # fmt: skip
        """`num_images` PIL images for each row of the embedding, row by row; image i of a row is
        made with the seed `seed + i`, whatever `num_images` is.

        Args:
            seed: 0 to 2**63.
            bridge: into the pipeline's space; None takes the default.
            candidates: so many are generated for each image, as one batch, and the one whose own
                embedding has the highest cosine to the prompt is kept; None takes the generator's
                own number. Of one, the image is the pipeline's own at its seed.
            settings: those of `bindplug.generation.settings.GenerationSettings`. `negative` is an
                embedding of one row, of the prompt's space; where the pipeline has no place for
                it, half of it is subtracted from the prompt, in the pipeline's space.

        Raises BindplugError: a number out of its range, a setting that the pipeline does not have,
        or no embedder of images to compare candidates with; SpaceMismatch: no bridge can be built
        to the pipeline's space."""
        check_embedding(embedding)
        num_images = whole_number("num_images", num_images, 1)
        seed = whole_number("seed", seed, 0, MAX_SEED)
        candidates = self.candidates if candidates is None else candidates
        candidates = whole_number("candidates", candidates, 1)
        settings = self.resolve(GenerationSettings(**settings))
        negative = settings.negative
        settings, away = self._negative(settings, bridge)
        embedder = image_embedder(embedding) if candidates > 1 else None
        images = []
        for row in range(len(embedding)):
            # Row by row, so that an image does not depend on its neighbours' rounding.
            prompt = self.prepare(embedding[row], bridge, away)
            wanted = prompt if prompt.space == embedding.space else embedding[row]
            if embedder and away is not None and wanted is not prompt:
                wanted = compose([(wanted, 1.0), (negative, NEGATIVE_WEIGHT)])
            for i in range(num_images):
                seeds = [seed + i + c * STRIDE for c in range(candidates)]
                batch = self.generate_batch(prompt, seeds, settings)
                near = cosines(batch, wanted, embedder) if embedder else [0.0]
                if embedder and settings.seen is not None:
                    settings.seen(batch, near)
                images.append(batch[near.index(max(near))])
        return images

    def morph(
        self, start: Embedding, end: Embedding, frames: int, seed: int = 0, *, bridge=None,
        **settings,
    ) -> list:  # fmt: skip
        """At least 2 PIL images of one seed on the arc from one row to another (`slerp`), both ends
        among them; settings as in `generate`.
        Raises BindplugError: as in `generate`, or a pipeline that reads words."""
        frames = whole_number("frames", frames, 2)
        seed = whole_number("seed", seed, 0, MAX_SEED)
        if self.reads_text:
            raise BindplugError(
                "this pipeline reads words, which have no in-between; morph with one that takes "
                "embeddings"
            )
        settings, away = self._negative(self.resolve(GenerationSettings(**settings)), bridge)
        a, b = (self.prepare(e, bridge, away) for e in (start, end))
        rows = [slerp(a, b, i / (frames - 1)) for i in range(frames)]
        return [self.generate_batch(row, [seed], settings)[0] for row in rows]

    def _negative(
        self, settings: GenerationSettings, bridge
    ) -> tuple[GenerationSettings, Embedding | None]:
        """The settings with their negative as `generate_batch` takes it, or a row of the pipeline's
        space that is to be subtracted from prompts."""
        if settings.negative is None:
            return settings, None
        if self.reads_text:
            raise BindplugError("this pipeline reads words; give negative_prompt instead")
        if len(settings.negative) != 1:
            raise BindplugError(f"a negative of {len(settings.negative)} rows; give one")
        if "negative" in self.family.options:
            return replace(settings, negative=self.prepare(settings.negative, bridge)), None
        return replace(settings, negative=None), cross(settings.negative, self.space, bridge)[0]

    def generate_batch(
        self, prompt: Embedding, seeds: list[int], settings: GenerationSettings = DEFAULTS
    ) -> list:
        """A PIL image of each seed in one call of the pipeline, for one row that `prepare` gave; so
        is the settings' `negative`, for families that take one.
        Raises BindplugError: a setting that the pipeline does not have."""
        import torch

        settings = self.resolve(settings)
        options = {"noise_level": settings.noise_level, "guidance": settings.guidance_scale > 1,
                   "negative": settings.negative}  # fmt: skip
        options = {k: v for k, v in options.items() if k in self.family.options}
        names = self.family.setting_names.items()
        call = {theirs: getattr(settings, ours) for ours, theirs in names}
        if settings.negative_text:
            call["negative_prompt"] = [settings.negative_text] * len(seeds)
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        with _LOCK, ExitStack() as stack:
            stack.enter_context(showing(self.pipe, settings.progress))
            call |= conditioning(
                self.pipe, prompt, prompt=settings.text, num_images=len(seeds), **options
            )
            if settings.init_image is not None:
                started = starting_from(self.pipe, settings, generators)
                call["latents"] = stack.enter_context(started)
            stack.enter_context(torch.random.fork_rng())
            torch.manual_seed(seeds[0])  # stable unCLIP draws the embedding's noise from it
            return self.pipe(**call, generator=generators).images


def load(
    weights: str, device: str, dtype: str | None = None, offload: bool = False,
    bank: str | Path | None = None,
) -> PipelineGenerator:  # fmt: skip
    """The small pipeline of this package, a catalogued one by name, or a folder as "local:PATH".

    A folder may hold a bindplug.json with the pipeline's `space`, and its `candidates`, `steps` and
    `guidance_scale` where they are not the pipeline's own defaults.

    Args:
        dtype: None is float16 on a GPU, else float32.
        offload: keep on the GPU only the part that works (accelerate).
        bank: file of image embeddings of one's own (`bindplug_unclip.bank.load_bank`).

    Raises BindplugError: weights that are not there, not known or damaged, or offload without a
    GPU."""
    folder = None
    if weights not in HUB:
        folder = HERE / weights if weights in WEIGHTS else Path(weights.removeprefix("local:"))
    on_gpu = device.startswith("cuda")
    if offload and not on_gpu:
        raise BindplugError("offload moves parts to a GPU while they run; choose a GPU as device")
    dtype = torch_dtype(dtype or ("float16" if on_gpu else "float32"), device)
    pipe, fingerprint = open_pipeline(weights, folder, dtype)
    metadata = _metadata(folder)
    pipe.bindplug_space = metadata.pop("space", None)
    if offload:
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe = pipe.to(device)
    candidates = metadata.pop("candidates", 1)
    generator = PipelineGenerator(pipe, None, None, candidates, metadata, device, fingerprint)
    if bank is not None and generator.family.region != "image":
        raise BindplugError(f"{weights} was trained on text embeddings: it needs no bank")
    if bank is not None:
        generator.bank = load_bank(bank, generator.space)
    elif folder is not None and generator.family.region == "image":
        generator.bank = shipped_bank(folder, generator.space)
    return generator


def _metadata(folder: Path | None) -> dict:
    """A folder's bindplug.json, {} where there is none.
    Raises BindplugError: a damaged one."""
    path = folder and folder / "bindplug.json"
    if not path or not path.is_file():
        return {}
    known = {"space": str, "candidates": int, "steps": int, "guidance_scale": float}
    try:
        metadata = json.loads(path.read_text())
        return {name: known[name](value) for name, value in metadata.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as err:
        raise BindplugError(
            f"{path}: is damaged; it holds {', '.join(known)} as a JSON object"
        ) from err


PLUGIN = Plugin(
    load=load,
    weights=WEIGHTS,
    description="diffusers pipelines conditioned by an embedding: stable unCLIP, Karlo, ...",
    hub=tuple(HUB),
)
