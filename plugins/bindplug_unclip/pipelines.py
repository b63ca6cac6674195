"""Diffusers pipelines: opened from a folder or the Hugging Face hub, and started from a picture."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

from bindplug.errors import BindplugError
from bindplug.models.hub import offline_hub
from bindplug.storage.cache_dir import is_offline

HERE = Path(__file__).parent
HUB = json.loads((HERE / "hub.json").read_text())


def open_pipeline(weights: str, folder: Path | None):
    """A pipeline of a folder, or of the catalogue by name.

    Licences are the makers', see hub.json; nothing is unpickled that has a safetensors twin.

    Raises:
        BindplugError: not there, cannot be fetched, or no pipeline.
    """
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    if folder is not None and not (folder / "model_index.json").is_file():
        raise BindplugError(f"{folder}: not a diffusers pipeline folder (no model_index.json)")
    for log in (diffusers_logging, transformers_logging):
        log.disable_progress_bar()
        log.set_verbosity_error()
    metadata = {} if folder is not None else HUB[weights]
    _mend_karlo()
    try:
        if folder is not None:
            pipe = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
        else:
            pipe = DiffusionPipeline.from_pretrained(
                metadata["repo"], revision=metadata["revision"], local_files_only=is_offline()
            )
        if adapter := metadata.get("adapter"):
            with offline_hub():
                pipe.load_ip_adapter(
                    adapter["repo"],
                    subfolder=adapter["subfolder"],
                    weight_name=adapter["file"],
                    image_encoder_folder=None,  # the embedding takes its place
                )
    except Exception as err:  # diffusers and the hub raise many kinds
        reason = str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__
        raise BindplugError(
            f"{folder or weights}: cannot be loaded as a pipeline: {reason}"
        ) from err
    return pipe


def _mend_karlo() -> None:
    """diffusers moved Karlo's parts; its checkpoints name the old place."""
    import diffusers
    import diffusers.pipelines

    try:
        from diffusers.pipelines.deprecated import unclip
    except ImportError:  # a version that has them where they were
        return
    if not hasattr(diffusers.pipelines, "unclip"):
        diffusers.pipelines.unclip = unclip
    if not hasattr(diffusers, "UnCLIPTextProjModel"):
        diffusers.UnCLIPTextProjModel = unclip.UnCLIPTextProjModel


@contextmanager
def starting_from(pipe, picture, strength: float, size: tuple[int, int], steps: int, generators):
    """For one call: the last `strength` of the steps alone, from a noised picture's latents, noised
    anew for each of the generators.

    Args:
        picture: PIL. strength: above 0, up to 1: how much of it is painted anew.
        size: height and width, pixels.

    Yields:
        `latents` for the call.

    Raises:
        BindplugError: a pipeline without an autoencoder, or a strength out of its range.
    """
    import torch
    from diffusers.image_processor import VaeImageProcessor
    from diffusers.utils.torch_utils import randn_tensor

    if not 0 < strength <= 1:
        raise BindplugError(f"strength {strength}; give more than 0, up to 1")
    vae = getattr(pipe, "vae", None)
    if vae is None:
        raise BindplugError(f"{type(pipe).__name__} cannot start from a picture: it has no vae")
    x = VaeImageProcessor().preprocess(picture, *size).to(pipe.device, vae.dtype)
    with torch.inference_mode():
        code = vae.encode(x)
        clean = code.latents if hasattr(code, "latents") else code.latent_dist.mode()
        clean = clean * vae.config.scaling_factor
    scheduler, whole = pipe.scheduler, pipe.scheduler.set_timesteps
    skipped = steps - max(1, round(steps * strength))

    def late(*args, **kwargs):
        whole(*args, **kwargs)
        scheduler.timesteps = scheduler.timesteps[skipped:]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(skipped)

    whole(steps, device=pipe.device)
    clean = clean.repeat(len(generators), 1, 1, 1)
    noise = randn_tensor(clean.shape, generators, device=pipe.device, dtype=clean.dtype)
    noised = scheduler.add_noise(clean, noise, scheduler.timesteps[skipped : skipped + 1])
    scheduler.set_timesteps = late
    try:
        yield noised / scheduler.init_noise_sigma  # the pipeline multiplies by it
    finally:
        del scheduler.set_timesteps
