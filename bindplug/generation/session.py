"""An embedder and a generator that make the images of recipes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..defaults import EMBEDDER, GENERATOR
from ..embedding.modalities import embed_one, options_of
from ..embedding.vectors import Embedding, mixed
from ..errors import BindplugError
from ..plugins import Embedder, Generator
from .audio_prompt import embed_audio_prompt, mix_audio
from .recipe import Recipe
from .settings import GenerationSettings, Progress, whole_number


class GenerationSession:
    """An embedder and a generator, loaded once for any number of recipes.

    Args:
        embedder: an Embedder, or a name for `load_embedder`.
        generator: a Generator, or a name for `load_generator`.
        weights, device, dtype, offload, bank: for models that are given by name, as in
            `load_generator` and in the generator's own `load`, to which None and False leave the
            choice.
        embedder_settings: for `load_embedder`, as `split` of a local ImageBind.

    Attributes:
        used: fields of `Recipe` that say which models these are.

    Raises BindplugError: a model that cannot be loaded."""

    def __init__(
        self,
        embedder: Embedder | str = EMBEDDER,
        generator: Generator | str = GENERATOR[0],
        weights: str = GENERATOR[1],
        device: str = "auto",
        *,
        dtype: str | None = None,
        offload: bool = False,
        bank: str | None = None,
        embedder_settings: dict | None = None,
    ):
        from ..models.load import load_beside, load_generator

        self.used: dict[str, Any] = {"model": "", "generator": "", "weights": "", "bank": bank}
        self.used["offload"] = offload
        if isinstance(embedder, str):
            self.used["model"] = embedder
            embedder = load_beside(embedder, device, **embedder_settings or {})
        if isinstance(generator, str):
            self.used |= {"generator": generator, "weights": weights}
            settings = {"dtype": dtype, "offload": offload, "bank": bank}
            settings = {name: value for name, value in settings.items() if value}
            generator = load_generator(generator, weights, device, **settings)
        self.embedder, self.generator = embedder, generator
        self.used |= {
            "space": embedder.space,
            "device": getattr(generator, "device", embedder.device),
            "dtype": getattr(generator, "dtype", dtype),
            "embedder_fingerprint": embedder.fingerprint,
            "generator_fingerprint": getattr(generator, "fingerprint", ""),
        }

    @classmethod
    def of(cls, recipe: Recipe, device: str = "auto") -> GenerationSession:
        """The models of a recipe; `device` "auto" takes the recipe's where it is there.
        Raises BindplugError: a model that cannot be loaded, or one that was passed as an object."""
        from ..device import pick_device

        if not (recipe.model and recipe.generator):
            raise BindplugError(
                "this image was made with models that were passed as objects; pass them again to "
                "GenerationSession"
            )
        if device == "auto" and recipe.device:
            with suppress(BindplugError):  # another machine: `differences` tells
                device = pick_device(recipe.device)
        return cls(
            recipe.model, recipe.generator, recipe.weights, device,
            dtype=recipe.dtype, offload=recipe.offload, bank=recipe.bank,
        )  # fmt: skip

    def differences(self, recipe: Recipe) -> list[str]:
        """Why an image of a recipe may come out otherwise here: one line for each reason."""
        names = ("device", "dtype", "embedder_fingerprint", "generator_fingerprint")
        pairs = [(name, getattr(recipe, name), self.used[name]) for name in names]
        return [
            f"{name.replace('_', ' ')} was {was}, is {now}: the image may differ"
            for name, was, now in pairs
            if was and was != now
        ]

    def generate(
        self, recipe: Recipe, num_images: int = 1, progress: Progress = False, seen=None
    ) -> Iterator[tuple[object, Recipe]]:
        """PIL images with the seeds `recipe.seed`, `recipe.seed + 1`, ..., each when it is made,
        with its own recipe, in which nothing is left to a default; `progress` and `seen`
        as in `GenerationSettings`, for each image anew.
        Raises BindplugError: a setting that cannot be used; or as in `embed`."""
        whole_number("num_images", num_images, 1)
        settings = replace(self._settings(recipe, progress), seen=seen)
        prompt = self.embed(recipe)
        candidates = recipe.candidates or self.generator.candidates
        chosen = {n: getattr(settings, n) for n in ("steps", "guidance_scale", "height", "width")}
        used = replace(recipe.hashed(), **self.used, **chosen, candidates=candidates)
        for seed in range(recipe.seed, recipe.seed + num_images):
            [image] = self.generator.generate(
                prompt, seed=seed, candidates=candidates, **settings.given()
            )
            yield image, replace(used, seed=seed)

    def morph(self, recipe: Recipe, frames: int, progress: Progress = False) -> list:
        """`frames` PIL images of one seed on the arc from the recipe's first prompt to its second.
        Raises BindplugError: not two prompts, or a generator that has no morphs."""
        if len(recipe.prompts) != 2:
            raise BindplugError(f"a morph of {len(recipe.prompts)} prompts; give two")
        if not hasattr(self.generator, "morph"):
            raise BindplugError("this generator makes no morphs")
        settings = self._settings(recipe, progress)
        ends = [self._embed_prompt(recipe, *prompt) for prompt in recipe.prompts]
        return self.generator.morph(*ends, frames, recipe.seed, **settings.given())

    def embed(self, recipe: Recipe) -> Embedding:
        """(1, D): a recipe's prompts, composed by its mix.
        Raises BindplugError: a prompt that cannot be read, or weights that do not fit the
        prompts."""
        parts = [self._embed_part(recipe, part) for part in recipe.parts]
        return mixed(parts, recipe.mix)

    def _embed_part(self, recipe: Recipe, prompts: list[tuple[str, str]]) -> Embedding:
        """Of one prompt, or of sounds that are mixed into one."""
        if len(prompts) == 1:
            return self._embed_prompt(recipe, *prompts[0])
        sounds = [value for _, value in prompts]
        label = " and ".join(Path(sound).stem for sound in sounds)
        return replace(self._embed_prompt(recipe, "audio", mix_audio(sounds)), labels=(label,))

    def _embed_prompt(self, recipe: Recipe, modality: str, value) -> Embedding:
        if modality != "audio":
            return embed_one(self.embedder, modality, value, recipe.options)
        own = {"normalize": recipe.normalize, **options_of("audio", recipe.options)}
        return embed_audio_prompt(self.embedder, value, recipe.window, **own)

    def _settings(self, recipe: Recipe, progress: Progress) -> GenerationSettings:
        from ..transforms.vision import load_image

        image = load_image(recipe.init_image, upright=True) if recipe.init_image else None
        settings = replace(recipe.settings(), init_image=image, progress=progress)
        resolve = getattr(self.generator, "resolve", None)  # others record what was asked
        settings = resolve(settings) if resolve else settings
        if recipe.negative_audio:
            negative = self._embed_prompt(recipe, "audio", recipe.negative_audio)
            settings = replace(settings, negative=negative)
        return settings
