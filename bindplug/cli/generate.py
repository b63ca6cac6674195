from __future__ import annotations

import hashlib
from pathlib import Path

import click

from .common import (
    FLAGS,
    Failures,
    PromptCommand,
    clear_errors,
    device_option,
    mix_prompts,
    model_option,
    need_prompts,
    output_options,
    prompts_of,
    say,
    unique_stems,
)


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
@click.option("--num-images", default=1, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--steps", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--guidance-scale", default=3.0, show_default=True, type=click.FloatRange(0))
@click.option("--noise-level", default=0, show_default=True, type=click.IntRange(0, 999))
@click.option("--height", type=click.IntRange(8), help="Pixels; by default the model's own.")
@click.option("--width", type=click.IntRange(8), help="Pixels; by default the model's own.")
@output_options
@device_option
@clear_errors
def generate(prompts, mix, model, generator, weights, num_images, seed, steps,
             guidance_scale, noise_level, height, width, output, overwrite, device):  # fmt: skip
    """Paint what each sound, text or picture means.

    \b
      bindplug generate --audio rain.wav
      bindplug generate --audio rain.wav --num-images 4 --seed 7
      bindplug generate --audio rain.wav --text "a tree" --weights 0.5 0.5
      bindplug generate --audio rain.wav --model local:imagebind_huge.pth --weights local:PIPELINE
    """
    from ..plugins import load_embedder, load_generator
    from ..results import make_folder, refuse_existing

    need_prompts(prompts)
    failures = Failures()
    folder = make_folder(output)
    jobs = [prompts] if mix else [[prompt] for prompt in prompts]
    stems = unique_stems("+".join(_stem(*prompt) for prompt in job) for job in jobs)
    for stem in stems:
        names = [folder / f"{stem}_{i:04d}.png" for i in range(num_images)]
        refuse_existing(names + [n.with_suffix(".json") for n in names], overwrite)
    embedder = load_embedder(model, device)
    painter = load_generator(generator, weights, device)
    settings = {
        "seed": seed,
        "steps": steps,
        "guidance_scale": guidance_scale,
        "noise_level": noise_level,
        "height": height or painter.size,
        "width": width or painter.size,
    }
    for job, stem in zip(jobs, stems, strict=True):
        prompt = failures.guard(mix_prompts, embedder, job, mix)
        if prompt is None:
            continue
        pictures = painter.generate(prompt, num_images=num_images, progress=True, **settings)
        about = {**_describe(job), "model": model, "generator": f"{generator}/{weights}"}
        if mix:
            about["weights"] = mix
        for i, picture in enumerate(pictures):
            path = folder / f"{stem}_{i:04d}.png"
            _save(picture, path, {**about, **settings, "seed": seed + i})
            say(f"{prompt.labels[0]}  -> {path}")
    failures.finish()


def _stem(kind: str, value: str) -> str:
    if kind != "text":
        return Path(value).stem
    return "".join(c if c.isalnum() else "-" for c in value.lower())[:40].strip("-") or "text"


def _describe(job: list[tuple[str, str]]) -> dict:
    """What the prompts are, files with their sha256; several of a sense as a list."""
    about: dict = {}
    for kind, value in job:
        about.setdefault(kind, []).append(value)
        if kind != "text":
            digest = hashlib.sha256(Path(value).read_bytes()).hexdigest()
            about.setdefault(f"{kind}_sha256", []).append(digest)
    return {k: v[0] if len(v) == 1 else v for k, v in about.items()}


def _save(picture, path: Path, about: dict) -> None:
    """A PNG with its settings inside, and the same as JSON beside it."""
    from PIL.PngImagePlugin import PngInfo

    from .. import __version__
    from ..results import write_file, write_json

    about = {"bindplug": __version__, **about}
    info = PngInfo()
    for key, value in about.items():
        info.add_itxt(f"bindplug:{key}", str(value))
    write_file(path, lambda f: picture.save(f, format="PNG", pnginfo=info))
    write_json(path.with_suffix(".json"), about)
