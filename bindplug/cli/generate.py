from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from ..defaults import GENERATOR
from ..errors import BindplugError
from .options import device_option, model_option, output_options
from .output import Failures, say, unique_stems
from .prompts import FLAGS, need_prompts, prompts_of

WITH_LIKE = {"like", "output", "overwrite", "device"}  # everything else is the recipe's


@click.command()
@prompts_of(FLAGS)
@model_option
@click.option("--generator", default=GENERATOR[0], show_default=True)
@click.option(
    "--weights", default=GENERATOR[1], show_default=True, help="A checkpoint: name or local:PATH."
)
@click.option("--together", is_flag=True, help="Mix all --audio into one sound first.")
@click.option("--negative-audio", metavar="FILE", help="A sound to steer away from.")
@click.option("--prompt", "beside", default="", help="Text beside the embedding, for models that "
              "read.")  # fmt: skip
@click.option("--negative-prompt", "negative_text", default="", help="Text to steer away from.")
@click.option("--init-image", metavar="FILE", help="Start from this image.")
@click.option("--strength", default=0.6, show_default=True,
              help="Share of the steps run on it, above 0 to 1.")  # fmt: skip
@click.option("--morph", nargs=2, metavar="FILE FILE",
              help="From one sound to another, as an animation.")  # fmt: skip
@click.option("--frames", default=16, show_default=True, type=click.IntRange(2))
@click.option("--like", metavar="PNG", help="Generate an image of bindplug's again.")
@click.option("--window", default="mean", show_default=True,
              help="Of a long sound: mean, all or most-confident.")  # fmt: skip
@click.option("--keep-loudness", is_flag=True, help="Let loud and quiet sounds differ.")
@click.option("--bank", "--memory", metavar="FILE", help="Image embeddings, written by embed.")
@click.option("--num-images", default=1, show_default=True, type=click.IntRange(1))
@click.option("--candidates", type=int, help="Generated for each image, to keep the one nearest to "
              "the prompt; by default the model's own number.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=int)
@click.option("--steps", type=int, help="1 to 1000; by default the model's own.")
@click.option("--guidance-scale", type=float, help="0 or more; by default the model's own.")
@click.option("--noise-level", default=0, show_default=True, type=int, help="0 to 999.")
@click.option("--height", type=int, help="Pixels; by default the model's own.")
@click.option("--width", type=int, help="Pixels; by default the model's own.")
@click.option("--dtype", help="float32, bfloat16 or float16; by default float16 on a GPU.")
@click.option("--offload", is_flag=True, help="Keep on the GPU only the part that works.")
@output_options
@device_option
def generate(
    prompts, mix, morph, frames, like, num_images, output, overwrite, device, **asked
):  # fmt: skip
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
    """
    from ..generation.recipe import Recipe, read_recipe
    from ..generation.session import GenerationSession

    if sum(map(bool, (prompts, morph, like))) > 1:
        raise BindplugError("give prompts, or --morph, or --like")
    folder = Path(output)
    if like:
        _refuse_given("--like takes everything from the image", set(asked) - WITH_LIKE)
        recipe = read_recipe(like)
        session = GenerationSession.of(recipe, device)
        for line in session.differences(recipe):
            say(f"Note: {line}")
        path = folder / f"{Path(like).stem}.png"
        _make_room([(recipe, [path])], [like], folder, overwrite)
        _generate(session, recipe, [path])
        return
    asked["text"] = asked.pop("beside")  # --text is a prompt, and a parameter of that name
    asked["normalize"] = "none" if asked.pop("keep_loudness") else "peak"
    models = [asked.pop(name) for name in ("model", "generator", "weights")]
    options = {name: asked.pop(name) for name in ("dtype", "offload", "bank")}
    if morph:
        _refuse_given("a morph goes from one sound to another", {"together", "negative_audio",
                                                                 "num_images"})  # fmt: skip
        recipes = [Recipe([("audio", sound) for sound in morph], **asked)]
        stems = ["-".join(Path(sound).stem for sound in morph)]
    else:
        need_prompts(prompts)
        joined = mix or asked["together"]
        parts = [prompts] if joined else [[prompt] for prompt in prompts]
        recipes = [Recipe(part, mix, **asked) for part in parts]
        stems = unique_stems("+".join(_stem(*prompt) for prompt in part) for part in parts)
    session = GenerationSession(*models, device, **options)
    if morph:
        _write_morph(session, recipes[0], frames, folder / stems[0], overwrite)
        return
    plan = [
        (recipe, [folder / f"{stem}_{i:04d}.png" for i in range(num_images)])
        for recipe, stem in zip(recipes, stems, strict=True)
    ]
    _make_room(plan, [], folder, overwrite)
    failures = Failures()
    for recipe, paths in plan:
        failures.guard(_generate, session, recipe, paths)
    failures.finish()


def _refuse_given(why: str, names: set[str]) -> None:
    """
    Raises:
        BindplugError: an option that has no effect here was given.
    """
    source = click.get_current_context().get_parameter_source
    for name in sorted(names):
        if source(name) is ParameterSource.COMMANDLINE:
            raise BindplugError(f"{why}; leave out --{name.replace('_', '-')}")


def _stem(modality: str, value: str) -> str:
    """What an output is called after."""
    if modality != "text":
        return Path(value).stem
    return "".join(c if c.isalnum() else "-" for c in value.lower())[:40].strip("-") or "text"


def _make_room(plan, inputs: list[str], folder: Path, overwrite: bool) -> None:
    """
    Raises:
        BindplugError: an output that exists, or that would replace an input.
    """
    from ..storage.atomic import make_folder, refuse_existing

    make_folder(folder)
    for recipe, paths in plan:
        read = {Path(name).resolve() for name in [*recipe.files(), *inputs]}
        for path in (p for png in paths for p in (png, png.with_suffix(".json"))):
            if path.resolve() in read:
                raise BindplugError(f"{path}: is an input; choose another --output")
            refuse_existing([path], overwrite)


def _generate(session, recipe, paths: list[Path]) -> None:
    from ..generation.recipe import write_image

    images = session.generate(recipe, len(paths), progress=True)
    for path, (image, used) in zip(paths, images, strict=True):
        write_image(path, image, used)
        say(f"{recipe.label}  -> {path}")


def _write_morph(session, recipe, frames: int, stem: Path, overwrite: bool) -> None:
    from ..generation.animation import write_gif, write_mp4
    from ..storage.atomic import make_folder, refuse_existing

    gif, mp4 = (stem.with_name(stem.name + ending) for ending in (".gif", ".mp4"))
    make_folder(stem.parent)
    refuse_existing([gif, mp4], overwrite)
    images = session.morph(recipe, frames, progress=True)
    write_gif(gif, images)
    write_mp4(mp4, images, tuple(value for _, value in recipe.prompts))
    say(f"{frames} frames -> {gif}, {mp4}")
