from __future__ import annotations

from pathlib import Path

import click

from ..errors import BindplugError
from ..generation.recipe import _read_job, _stem, _stem_of
from ..generation.session import Painter
from .options import device_option, model_option, output_options
from .output import Failures, clear_errors, unique_stems
from .prompts import FLAGS, PromptCommand, need_prompts, prompts_of


@click.command(cls=PromptCommand)
@prompts_of(FLAGS)
@model_option
@click.option("--generator", default="unclip", show_default=True)
@click.option(
    "--weights",
    default="tiny",
    show_default=True,
    help="A name, or local:PATH. Numbers mix the prompts into one, a weight for each.",
)
@click.option("--together", is_flag=True, help="Hear all --audio at once, as one sound.")
@click.option("--negative-audio", metavar="FILE", help="Not this.")
@click.option("--prompt", "text", default="", help="Beside the embedding, for models that read.")
@click.option("--negative-prompt", "negative_text", default="", help="The same, for what not.")
@click.option("--init-image", metavar="FILE", help="Paint this picture over.")
@click.option("--strength", default=0.6, show_default=True, help="How much of it, above 0 to 1.")
@click.option("--morph", nargs=2, metavar="FILE FILE", help="From one sound to another, as a film.")
@click.option("--frames", default=16, show_default=True, type=click.IntRange(2))
@click.option("--like", metavar="PNG", help="Make a picture of bindplug's again.")
@click.option(
    "--window", default="mean", show_default=True, help="Of a long sound: mean, all or telling."
)
@click.option("--keep-loudness", is_flag=True, help="Let loud and quiet sounds differ.")
@click.option("--memory", metavar="FILE", help="Picture embeddings, written by embed.")
@click.option("--num-images", default=1, show_default=True, type=click.IntRange(1))
@click.option(
    "--candidates",
    type=click.IntRange(1),
    help="Painted for each picture, to keep the one nearest to the prompt; by default the model's "
    "own number.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--steps", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--guidance-scale", default=3.0, show_default=True, type=click.FloatRange(0))
@click.option("--noise-level", default=0, show_default=True, type=click.IntRange(0, 999))
@click.option("--height", type=click.IntRange(8), help="Pixels; by default the model's own.")
@click.option("--width", type=click.IntRange(8), help="Pixels; by default the model's own.")
@click.option("--dtype", help="float32, bfloat16 or float16; by default float16 on a GPU.")
@click.option("--offload", is_flag=True, help="Keep on the GPU only the part that works.")
@output_options
@device_option
@clear_errors
def generate(prompts, mix, together, negative_audio, morph, frames, like, num_images, seed,
             dtype, offload, memory, output, overwrite, device, **asked):  # fmt: skip
    """Paint what each sound, text or picture means.

    \b
      bindplug generate --audio rain.wav
      bindplug generate --audio rain.wav --num-images 4 --seed 7
      bindplug generate --audio rain.wav --candidates 16
      bindplug generate --audio rain.wav --text "a tree" --weights 0.5 0.5
      bindplug generate --audio rain.wav --init-image street.png --strength 0.5
      bindplug generate --morph cat.wav dog.wav --frames 24
      bindplug generate --like bindplug-out/rain_0000.png -o again
      bindplug generate --audio rain.wav --model imagebind-huge --weights stable-unclip-2-1
    """
    if sum(map(bool, (prompts, morph, like))) > 1:
        raise BindplugError("give prompts, or --morph, or --like")
    if like:
        jobs, stems = [_read_job(like)], [Path(like).stem]
        was, seed = jobs[0].pop("device"), jobs[0].pop("seed")
        device = was if device == "auto" else device
    else:
        if not morph:
            need_prompts(prompts)
        parts = _parts(prompts or [("audio", value) for value in morph], mix, together or morph)
        jobs = [
            {**asked, "prompts": part, "mix": mix, "together": together, "dtype": dtype,
             "negative_audio": negative_audio, "memory": memory, "offload": offload}
            for part in parts
        ]  # fmt: skip
        stems = unique_stems("+".join(_stem(*prompt) for prompt in part) for part in parts)
    painter = Painter(jobs[0], device)
    if morph:
        painter.morph(
            jobs[0], frames, seed, Path(output), "-".join(map(_stem_of, morph)), overwrite
        )
        return
    paths = [
        [Path(output) / (f"{stem}.png" if like else f"{stem}_{i:04d}.png")
         for i in range(1 if like else num_images)]
        for stem in stems
    ]  # fmt: skip
    _make_room(paths, output, overwrite)
    failures = Failures()
    for job, own in zip(jobs, paths, strict=True):
        failures.guard(painter.paint, job, seed, own)
    failures.finish()


def _parts(prompts, mix, joined) -> list[list]:
    """What one picture each is made of."""
    return [list(prompts)] if mix or joined else [[prompt] for prompt in prompts]


def _make_room(paths: list[list[Path]], output: str, overwrite: bool) -> None:
    from ..storage.atomic import make_folder, refuse_existing

    make_folder(output)
    for path in (p for own in paths for p in own):
        refuse_existing([path, path.with_suffix(".json")], overwrite)
