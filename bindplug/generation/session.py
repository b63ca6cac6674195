""" """

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..cli.output import say
from ..errors import BindplugError
from .recipe import _about, _save, _stem_of


class Painter:
    """The models of a job, which several jobs share."""

    def __init__(self, job: dict, device: str):
        from ..models.load import load_embedder, load_generator

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
        metadata = {**_about(job), "device": self.device, "candidates": settings["candidates"]}
        for i, path in enumerate(paths):
            [picture] = self.painter.generate(
                prompt, seed=seed + i, negative=negative, progress=True, **settings
            )
            _save(picture, path, {**metadata, "seed": seed + i})
            say(f"{prompt.labels[0]}  -> {path}")

    def morph(self, job, frames, seed, folder: Path, stem: str, overwrite: bool) -> None:
        """A film from the first prompt to the last: GIF, and MP4 with the sounds."""
        from ..storage.atomic import make_folder, refuse_existing
        from .animation import write_gif, write_mp4

        paths = [folder / f"{stem}.gif", folder / f"{stem}.mp4"]
        make_folder(folder)
        refuse_existing(paths, overwrite)
        ends = [self._hear(job, value) for _, value in job["prompts"]]
        pictures = self.painter.morph(*ends, frames, seed, progress=True, **self._settings(job))
        write_gif(paths[0], pictures)
        write_mp4(paths[1], pictures, [value for _, value in job["prompts"]])
        say(f"{frames} frames -> {paths[0]}, {paths[1]}")

    def _prompt(self, job: dict):
        from ..embedding.vectors import compose
        from .audio_prompt import mix_audio

        sounds = [value for modality, value in job["prompts"] if modality == "audio"]
        parts = []
        if job["together"] and sounds:
            heard = self._hear(job, mix_audio(sounds))
            parts.append(replace(heard, labels=(" and ".join(map(_stem_of, sounds)),)))
        for modality, value in job["prompts"]:
            if modality != "audio":
                parts.append(self.embedder.embed(**{modality: value}))
            elif not job["together"]:
                parts.append(self._hear(job, value))
        mix = job["mix"] or [1.0] * len(parts)
        if len(mix) != len(parts):
            raise BindplugError(f"{len(mix)} weights for {len(parts)} prompts; give one for each")
        return compose(list(zip(parts, mix, strict=True)))

    def _hear(self, job: dict, source):
        from .audio_prompt import listen

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
