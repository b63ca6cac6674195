"""POST /v1/generate: images of what prompts mean, and morphs between two sounds."""

import asyncio
from pathlib import Path

from ...embedding.modalities import MODALITIES
from ...errors import BindplugError
from ...generation.animation import write_gif, write_mp4
from ...generation.audio_prompt import WINDOWS
from ...generation.names import image_names, morph_name
from ...generation.recipe import Recipe, encode_image, make_recipes
from ...generation.session import GenerationSession
from ...generation.settings import MAX_SEED, MAX_STEPS
from ..checks import check_input
from ..engine import Engine
from ..fields import INLINE, MIX, OPTION, Field, Form, prompt_fields
from ..long_work import Teller
from ..question import form_options, need_prompts
from ..results import png
from ..scratch import scratch_folder, write_uploads
from ..settings import Limits
from ..uploads import Upload

FRAMES = 64
FIELDS = [
    *prompt_fields(MODALITIES),
    MIX,
    OPTION,
    Field("together", "switch", "Mix all sounds into one first.", default=False),
    Field("negative_audio", "file", "A sound to steer away from."),
    Field("prompt", "text", "Text beside the embedding, for models that read.", default=""),
    Field("negative_prompt", "text", "Text to steer away from.", default=""),
    Field("init_image", "file", "Start from this image."),
    Field("strength", "number", "Share of the steps run on init_image.", default=0.6, least=0,
          most=1),
    Field("morph", "file", "Two sounds: from the first to the second.", many=True),
    Field("frames", "whole", "Of a morph.", default=16, least=2, most=FRAMES),
    Field("window", "word", "Of a long sound.", default="mean",
          choices=(*WINDOWS, "most-confident")),
    Field("keep_loudness", "switch", "Let loud and quiet sounds differ.", default=False),
    Field("num_images", "whole", "For each prompt.", default=1, least=1, most=64),
    Field("candidates", "whole", "Generated for each image, to keep the one nearest to the prompt; "
          "by default the model's own number.", least=1, most=64),
    Field("seed", "whole", "Of the first image.", default=0, least=0, most=MAX_SEED, example=7),
    Field("steps", "whole", "By default the model's own.", least=1, most=MAX_STEPS),
    Field("guidance_scale", "number", "By default the model's own.", least=0, most=1000),
    Field("noise_level", "whole", "Noise added to the embedding.", default=0, least=0, most=999),
    Field("height", "whole", "Pixels; by default the model's own.", least=8, most=16_384),
    Field("width", "whole", "Pixels; by default the model's own.", least=8, most=16_384),
    Field("show_candidates", "switch", "Also each image's candidates, and their cosines to the "
          "prompt.", default=False),
    INLINE,
    Field("stream", "switch", "Server-sent events: progress, each image, then the result.",
          default=False),
]  # fmt: skip
SETTINGS = ("together", "window", "candidates", "seed", "steps", "guidance_scale", "noise_level",
            "height", "width", "strength")  # fmt: skip


async def generate(server, form: Form):
    """Each image with its recipe, as the PNG holds it; as server-sent events where the form wants a
    stream."""
    session = server.engines[0].need_session()
    if form["morph"]:
        if form.prompts or len(form["morph"]) != 2:
            raise BindplugError("morph: give two sounds, and no other prompt")
    else:
        need_prompts(form)
    _check_cost(session, server.limits, form)
    uploads = list(_uploads(form))
    await asyncio.to_thread(_check_files, uploads, server.limits)
    engine = server.engine()

    def work(tell: Teller) -> dict:
        with scratch_folder() as folder:
            paths = write_uploads(folder, [upload for _, upload in uploads])
            return _generate(server, engine, form, paths, folder, tell)

    return server.long(engine, work, form["stream"])


def _uploads(form: Form):
    """(modality, Upload) of every file that is read."""
    yield from ((m, value) for m, value in form.prompts if isinstance(value, Upload))
    yield from (("audio", sound) for sound in form["morph"])
    for modality, name in (("audio", "negative_audio"), ("image", "init_image")):
        if form[name] is not None:
            yield modality, form[name]


def _check_files(uploads: list[tuple[str, Upload]], limits: Limits) -> None:
    for modality, upload in uploads:
        if check_input(modality, upload, limits) is not upload:
            raise BindplugError(f"{upload.name}: send a file here, not an array")


def _check_cost(session: GenerationSession, limits: Limits, form: Form) -> None:
    own = getattr(session.generator, "candidates", 1)
    recipes = 1 if form["mix"] or form["together"] else max(1, len(form.prompts))
    images = recipes * form["num_images"] * (form["candidates"] or own)
    if form["morph"] and form["frames"] > limits.images:
        raise BindplugError(f"{form['frames']} frames; ask for {limits.images} or fewer")
    if not form["morph"] and images > limits.images:
        raise BindplugError(
            f"{images} images with all candidates; ask for {limits.images} or fewer (num_images, "
            "candidates)"
        )
    size = session.generator.size
    if (form["height"] or size) * (form["width"] or size) > limits.pixels:
        raise BindplugError("height x width are too many pixels")


def _recipes(form: Form, paths: dict[Upload, str]) -> list[Recipe]:
    audio = ["audio"] if form["morph"] or form["negative_audio"] else []
    prompts = [(m, paths.get(value, value)) for m, value in form.prompts]
    prompts = prompts or [("audio", paths[sound]) for sound in form["morph"]]
    return make_recipes(
        prompts, form["mix"], bool(form["morph"]), form_options(form, audio),
        form["keep_loudness"], text=form["prompt"], negative_text=form["negative_prompt"],
        negative_audio=paths.get(form["negative_audio"]), init_image=paths.get(form["init_image"]),
        **form.values(SETTINGS),
    )  # fmt: skip


def _generate(server, engine: Engine, form: Form, paths: dict, folder: Path, tell: Teller) -> dict:
    recipes, count = _recipes(form, paths), form["num_images"]
    head = {"schema": 1, "model": engine.models.model, "generator": engine.models.generator,
            "weights": engine.models.generator_weights}  # fmt: skip
    if form["morph"]:
        return {**head, **_morph(server, engine, form, recipes[0], folder, tell)}
    images, candidates = [], []  # candidates: of the image that is being made

    def progress(step: int, steps: int) -> None:
        done = round(len(images) + step / steps, 4)
        tell("progress", {"done": done, "of": count * len(recipes), "unit": "images"})

    def seen(batch: list, cosines: list[float]) -> None:
        for number, (image, cosine) in enumerate(zip(batch, cosines, strict=True)):
            link = server.link(png(image), "image/png", f"{number}.png", form["inline"])
            kept = number == cosines.index(max(cosines))
            candidates.append({"png": link, "cosine": round(cosine, 4), "kept": kept})

    for recipe, names in zip(recipes, image_names(recipes, count), strict=True):
        made = engine.session.generate(
            recipe, count, progress, seen if form["show_candidates"] else None
        )
        for (image, used), stem in zip(made, names, strict=True):
            data, metadata = encode_image(image, used.renamed(lambda name: Path(name).name))
            name = f"{stem}.png"
            link = server.link(data, "image/png", name, form["inline"])
            entry = {"image": name, "seed": used.seed, "png": link, "recipe": metadata}
            images.append({**entry, "candidates": [*candidates]} if candidates else entry)
            candidates.clear()
            tell("image", {"number": len(images), **images[-1]})
    return {**head, "images": images}


def _morph(server, engine: Engine, form: Form, recipe: Recipe, folder: Path, tell: Teller) -> dict:
    frames, done = form["frames"], 0

    def progress(step: int, steps: int) -> None:
        nonlocal done
        tell("progress", {"done": round(min(done + step / steps, frames), 4), "of": frames,
                          "unit": "frames"})  # fmt: skip
        done += step == steps

    images = engine.session.morph(recipe, frames, progress)
    gif, mp4 = (folder / f"{morph_name(recipe)}{ending}" for ending in (".gif", ".mp4"))
    write_gif(gif, images)
    write_mp4(mp4, images, tuple(value for _, value in recipe.prompts))
    out = {"frames": frames}
    for path, kind in ((gif, "image/gif"), (mp4, "video/mp4")):
        link = server.link(path.read_bytes(), kind, path.name, form["inline"])
        out[path.suffix[1:]] = link
    return out
