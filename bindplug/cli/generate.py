from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import click

from ..errors import BindplugError
from .common import (
    FLAGS,
    Failures,
    PromptCommand,
    clear_errors,
    device_option,
    model_option,
    need_prompts,
    output_options,
    prompts_of,
    say,
    unique_stems,
)

JOB = "bindplug:job"  # the picture's own recipe, in its PNG


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


class Painter:
    """The models of a job, which several jobs share."""

    def __init__(self, job: dict, device: str):
        from ..plugins import load_embedder, load_generator

        settings = {"memory": job["memory"], "dtype": job["dtype"], "offload": job["offload"]}
        settings = {name: value for name, value in settings.items() if value}
        self.embedder = load_embedder(job["model"], device)
        self.painter = load_generator(job["generator"], job["weights"], device, **settings)
        self.device = device

    def paint(self, job: dict, seed: int, paths: list[Path]) -> None:
        """Pictures of seeds from `seed` on, each written with its own job inside."""
        prompt = self._prompt(job)
        settings, negative = self._settings(job), self._negative(job)
        settings["candidates"] = job["candidates"] or self.painter.candidates
        about = {**_about(job), "device": self.device, "candidates": settings["candidates"]}
        for i, path in enumerate(paths):
            [picture] = self.painter.generate(
                prompt, seed=seed + i, negative=negative, progress=True, **settings
            )
            _save(picture, path, {**about, "seed": seed + i})
            say(f"{prompt.labels[0]}  -> {path}")

    def morph(self, job, frames, seed, folder: Path, stem: str, overwrite: bool) -> None:
        """A film from the first prompt to the last: GIF, and MP4 with the sounds."""
        from ..results import make_folder, refuse_existing
        from ..watch.film import write_gif, write_mp4

        paths = [folder / f"{stem}.gif", folder / f"{stem}.mp4"]
        make_folder(folder)
        refuse_existing(paths, overwrite)
        ends = [self._hear(job, value) for _, value in job["prompts"]]
        pictures = self.painter.morph(*ends, frames, seed, progress=True, **self._settings(job))
        write_gif(paths[0], pictures)
        write_mp4(paths[1], pictures, [value for _, value in job["prompts"]])
        say(f"{frames} frames -> {paths[0]}, {paths[1]}")

    def _prompt(self, job: dict):
        from ..embedding import compose
        from ..listening import overlay_sounds

        sounds = [value for sense, value in job["prompts"] if sense == "audio"]
        parts = []
        if job["together"] and sounds:
            heard = self._hear(job, overlay_sounds(sounds))
            parts.append(replace(heard, labels=(" and ".join(map(_stem_of, sounds)),)))
        for sense, value in job["prompts"]:
            if sense != "audio":
                parts.append(self.embedder.embed(**{sense: value}))
            elif not job["together"]:
                parts.append(self._hear(job, value))
        mix = job["mix"] or [1.0] * len(parts)
        if len(mix) != len(parts):
            raise BindplugError(f"{len(mix)} weights for {len(parts)} prompts; give one for each")
        return compose(list(zip(parts, mix, strict=True)))

    def _hear(self, job: dict, source):
        from ..listening import listen

        level = "own" if job["keep_loudness"] else "peak"
        return listen(self.embedder, source, job["window"], level)

    def _negative(self, job: dict):
        return self._hear(job, job["negative_audio"]) if job["negative_audio"] else None

    def _settings(self, job: dict) -> dict:
        from ..transforms.vision import load_image

        settings = {
            "steps": job["steps"],
            "guidance_scale": job["guidance_scale"],
            "noise_level": job["noise_level"],
            "height": job["height"] or self.painter.size,
            "width": job["width"] or self.painter.size,
            "text": job["text"],
            "negative_text": job["negative_text"],
        }
        if job["init_image"]:
            settings["start"] = load_image(job["init_image"], upright=True)
            settings["strength"] = job["strength"]
        return settings


def _parts(prompts, mix, joined) -> list[list]:
    """What one picture each is made of."""
    return [list(prompts)] if mix or joined else [[prompt] for prompt in prompts]


def _stem(kind: str, value: str) -> str:
    if kind != "text":
        return _stem_of(value)
    return "".join(c if c.isalnum() else "-" for c in value.lower())[:40].strip("-") or "text"


def _stem_of(path: str) -> str:
    return Path(path).stem


def _make_room(paths: list[list[Path]], output: str, overwrite: bool) -> None:
    from ..results import make_folder, refuse_existing

    make_folder(output)
    for path in (p for own in paths for p in own):
        refuse_existing([path, path.with_suffix(".json")], overwrite)


def _files(job: dict) -> list[str]:
    """Every file that a job reads."""
    own = [value for sense, value in job["prompts"] if sense != "text"]
    return own + [job[k] for k in ("negative_audio", "init_image", "memory") if job[k]]


def _about(job: dict) -> dict:
    """The job as it can be done again: paths that hold from anywhere, and what was in the files."""
    files = {value: str(Path(value).resolve()) for value in _files(job)}
    prompts = [[sense, files.get(value, value)] for sense, value in job["prompts"]]
    own = {k: files[job[k]] for k in ("negative_audio", "init_image", "memory") if job[k]}
    return {**job, **own, "prompts": prompts,
            "sha256": {path: _digest(Path(path)) for path in files.values()}}  # fmt: skip


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_job(png: str) -> dict:
    from PIL import Image

    from ..transforms.source import check_file

    check_file(png, png, "picture")
    try:
        with Image.open(png) as picture:
            job = json.loads(picture.text[JOB])
    except (OSError, AttributeError, KeyError, ValueError) as err:
        raise BindplugError(f"{png}: holds no recipe; give a PNG that generate wrote") from err
    for path, digest in job.pop("sha256").items():
        if not Path(path).is_file():
            raise BindplugError(f"{path}: is gone; {png} was made from it")
        if _digest(Path(path)) != digest:
            raise BindplugError(f"{path}: has changed since {png} was made from it")
    job.pop("bindplug")
    job.setdefault("candidates", 1)  # pictures of earlier versions had no others beside them
    return job


def _save(picture, path: Path, about: dict) -> None:
    """A PNG with its job inside, and the same as JSON beside it."""
    from PIL.PngImagePlugin import PngInfo

    from .. import __version__
    from ..results import write_file, write_json

    about = {"bindplug": __version__, **about}
    info = PngInfo()
    info.add_itxt(JOB, json.dumps(about))
    write_file(path, lambda f: picture.save(f, format="PNG", pnginfo=info))
    write_json(path.with_suffix(".json"), about)
