from pathlib import Path

import click

from ..defaults import GENERATOR
from ..embedding.modalities import MODALITIES
from ..embedding.options import read_options
from ..errors import BindplugError
from . import options as opt
from .output import Failures, check_outputs, say
from .prompts import need_prompts, prompt_files, prompts_of
from .ray_engine import engine_options, on_ray, show_progress, tell

WITH_LIKE = {"like", "output", "overwrite", "device", "offline"}  # all else is the recipe's
MORPHED = {"mix", "together", "num_images"}  # a morph has no use for them
NOT_ON_RAY = {"mix", "together", "morph", "frames", "like"}  # there each prompt has its own images


@click.command()
@prompts_of(MODALITIES)
@opt.transform_option
@opt.model_option
@click.option("--generator", default=GENERATOR[0], show_default=True)
@click.option("--weights", default=GENERATOR[1], show_default=True, help="A name or local:PATH.")
@click.option("--together", is_flag=True, help="Mix all --audio into one sound first.")
@click.option("--negative-audio", cls=opt.Once, metavar="FILE", help="A sound to steer away from.")
@click.option("--prompt", "beside", default="",
              help="Text prompt beside the embedding, for models that take text.")  # fmt: skip
@click.option("--negative-prompt", "negative_text", default="", help="Text to steer away from.")
@click.option("--init-image", cls=opt.Once, metavar="FILE", help="Start from this image.")
@click.option("--strength", default=0.6, show_default=True,
              help="Share of the steps run on --init-image: above 0, at most 1.")  # fmt: skip
@click.option("--morph", nargs=2, metavar="FILE FILE",
              help="Animate the way from one sound to another.")  # fmt: skip
@click.option("--frames", default=16, show_default=True, type=click.IntRange(2))
@click.option(
    "--like", cls=opt.Once, metavar="PNG", help="Regenerate an image that bindplug wrote."
)
@click.option("--window", default="mean", show_default=True,
              help="Which clips of a long sound count: mean, all or most-confident.")  # fmt: skip
@click.option("--keep-loudness", is_flag=True, help="Do not scale sounds to the same peak.")
@click.option(
    "--bank",
    "--memory",
    cls=opt.Once,
    metavar="FILE",
    help="Image embeddings, written by `bindplug embed`.",
)
@click.option("--num-images", default=1, show_default=True, type=click.IntRange(1))
@click.option("--candidates", type=int, help="Images generated for each one that is kept, the "
              "nearest to the prompt; by default the model's own number.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=int)
@click.option("--steps", type=int, help="1 to 1000; by default the model's own.")
@click.option("--guidance-scale", type=float, help="0 or more; by default the model's own.")
@click.option("--noise-level", default=0, show_default=True, type=int, help="0 to 999.")
@click.option("--height", type=int, help="Pixels; by default the model's own.")
@click.option("--width", type=int, help="Pixels; by default the model's own.")
@click.option("--dtype", help="float32, bfloat16 or float16; by default float16 on a GPU.")
@click.option("--offload", is_flag=True, help="Keep each part on the GPU only while it runs.")
@opt.output_options
@opt.device_option
@engine_options
def generate(prompts, mix, morph, frames, like, num_images, output, overwrite, model, split,
             generator, weights, device, dtype, offload, bank, transform_options, beside,
             keep_loudness, engine, actors, **asked):  # fmt: skip
    """Generate images of what sounds, texts or images mean.

    \b
      bindplug generate --audio rain.wav
      bindplug generate --audio rain.wav --num-images 4 --seed 7
      bindplug generate --audio rain.wav --candidates 16
      bindplug generate --audio rain.wav --text "a tree" --mix 0.5,0.5
      bindplug generate --audio rain.wav --init-image street.png --strength 0.5
      bindplug generate --morph cat.wav dog.wav --frames 24
      bindplug generate --like bindplug-out/rain_0000.png -o again
      bindplug generate --audio rain.wav --model imagebind-huge --weights stable-unclip-2-1
      bindplug generate --engine ray --audio sounds/ -o images
    """
    if on_ray(engine, NOT_ON_RAY):
        models = {"model": model, "split": split, "generator": generator, "weights": weights,
                  "dtype": dtype, "offload": offload, "bank": bank}  # fmt: skip
        recipe = {**asked, "text": beside, "keep_loudness": keep_loudness}
        recipe.pop("together")
        running = {"device": device, "actors": actors, "overwrite": overwrite}
        return _on_ray(prompts, output, transform_options, num_images=num_images, **models,
                       **running, **recipe)  # fmt: skip
    from ..generation.animation import write_gif, write_mp4
    from ..generation.names import image_names, morph_name
    from ..generation.recipe import make_recipes, read_recipe
    from ..generation.session import GenerationSession
    from ..storage.atomic import make_folder, refuse_existing

    if sum(map(bool, (prompts, morph, like))) > 1:
        raise BindplugError("give prompts, or --morph, or --like")
    if like:
        names = {param.name for param in click.get_current_context().command.params}
        opt.refuse_given("--like takes all settings from the image", names - WITH_LIKE)
        recipes, images = [read_recipe(like)], [[Path(like).stem]]
    else:
        sounds = ["audio"] if morph or asked["negative_audio"] else []
        own = read_options(transform_options, [*sounds, *(m for m, _ in prompts)])
        if "normalize" in own:
            opt.refuse_given("--option normalize sets this already", {"keep_loudness"})
        if morph:
            opt.refuse_given("--morph goes from one sound to another", MORPHED)
            if asked["candidates"] != 1:
                opt.refuse_given("--morph generates each frame once", {"candidates"})
            prompts = [("audio", sound) for sound in morph]
        else:
            need_prompts(prompts)
            opt.refuse_given("only --morph has frames", {"frames"})
        recipes = make_recipes(prompts, mix, bool(morph), own, keep_loudness, text=beside, **asked)
        if not asked["init_image"]:
            opt.refuse_given("there is no --init-image", {"strength"})
        images = [[morph_name(recipes[0])]] if morph else image_names(recipes, num_images)
    folder, endings = Path(output), (".gif", ".mp4") if morph else (".png", ".json")
    outputs = [folder / f"{name}{e}" for names in images for name in names for e in endings]
    check_outputs(outputs, [like, bank, *(file for r in recipes for file in r.files())])
    refuse_existing(outputs, overwrite)
    if like:
        session = GenerationSession.of(recipes[0], device)
        for line in session.differences(recipes[0]):
            say(f"Note: {line}")
    else:
        session = GenerationSession(
            model, generator, weights, device, dtype=dtype, offload=offload, bank=bank,
            embedder_settings=opt.embedder_settings(model, split),
        )  # fmt: skip
    make_folder(folder)
    if morph:
        frames = session.morph(recipes[0], frames, progress=show_progress())
        write_gif(outputs[0], frames)
        write_mp4(outputs[1], frames, morph)
        return say(f"{len(frames)} frames -> {outputs[0]}, {outputs[1]}")
    failures = Failures()
    for recipe, names in zip(recipes, images, strict=True):
        failures.guard(_generate, session, recipe, [folder / f"{name}.png" for name in names])
    failures.finish()


def _generate(session, recipe, paths: list[Path]) -> None:
    from ..generation.recipe import write_image

    images = session.generate(recipe, len(paths), progress=show_progress())
    for path, (image, used) in zip(paths, images, strict=True):
        write_image(path, image, used)
        say(f"{recipe.label}  -> {path}")


def _on_ray(prompts, output, transform_options, **settings) -> None:
    from .. import ray
    from ..embedding.inputs import expand

    need_prompts(prompts)
    items = [(m, v) for m, value in prompts for v in expand(m, value)]
    files = [settings[name] for name in ("init_image", "negative_audio", "bank")]
    check_outputs([output], [*prompt_files(items), *files])
    sounds = ["audio"] if settings["negative_audio"] else []
    options = read_options(transform_options, [*sounds, *(m for m, _ in items)])
    tell(ray.generate(items, output, options=options, progress=show_progress(), **settings), output)
