"""Diffusers pipelines: opened from a folder or the Hugging Face hub, and started from an image."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bindplug.errors import BindplugError, first_line, kind_of
from bindplug.generation.settings import GenerationSettings
from bindplug.storage.cache_dir import hub_access, is_offline
from bindplug.storage.hashing import folder_fingerprint

HERE = Path(__file__).parent
HUB = json.loads((HERE / "hub.json").read_text())


def open_pipeline(weights: str, folder: Path | None, dtype):
    """A pipeline of a folder, or of the catalogue by name, in a torch dtype, and a fingerprint of
    its weights.

    Licences are the makers', see hub.json; nothing is unpickled that has a safetensors twin.
    Raises BindplugError: not there, cannot be fetched, or no pipeline."""
    from diffusers import DiffusionPipeline
    from huggingface_hub import try_to_load_from_cache

    if folder is not None and not (folder / "model_index.json").is_file():
        raise BindplugError(f"{folder}: not a diffusers pipeline folder (no model_index.json)")
    entry, files_in = {} if folder is not None else HUB[weights], folder
    _add_karlo_names()
    try:
        with _quiet(), hub_access():
            if folder is not None:
                pipe = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
            else:
                of = {"revision": entry["revision"]}
                pipe = DiffusionPipeline.from_pretrained(
                    entry["repo"], local_files_only=is_offline(), **of
                )
                index = try_to_load_from_cache(entry["repo"], "model_index.json", **of)
                files_in = Path(index).parent if isinstance(index, str) else None
            if adapter := entry.get("adapter"):
                pipe.load_ip_adapter(  # without its image encoder: the embedding takes its place
                    adapter["repo"], subfolder=adapter["subfolder"], weight_name=adapter["file"],
                    revision=adapter["revision"], image_encoder_folder=None,
                    local_files_only=is_offline(),
                )  # fmt: skip
            return pipe.to(dtype), folder_fingerprint(files_in) if files_in else ""
    except Exception as err:  # diffusers and the hub raise many kinds
        raise kind_of(err)(
            f"{folder or weights}: cannot be loaded as a pipeline: {first_line(err)}"
        ) from err


@contextmanager
def _quiet() -> Iterator[None]:
    """diffusers and transformers log errors alone, and draw no progress bars, inside the block; as
    before after it. Their logging is of the process: other threads are quiet meanwhile."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    with ExitStack() as stack:
        for log in (diffusers_logging, transformers_logging):
            stack.callback(log.set_verbosity, log.get_verbosity())
            log.set_verbosity_error()
            if log.is_progress_bar_enabled():
                stack.callback(log.enable_progress_bar)
                log.disable_progress_bar()
        yield


def _add_karlo_names() -> None:
    """Karlo's parts under the names that its checkpoints have: diffusers moved them."""
    import diffusers
    import diffusers.pipelines

    try:
        from diffusers.pipelines.deprecated import unclip
    except ImportError:  # a version that has them where they were
        return
    vars(diffusers.pipelines).setdefault("unclip", unclip)
    vars(diffusers).setdefault("UnCLIPTextProjModel", unclip.UnCLIPTextProjModel)


@contextmanager
def starting_from(pipe, settings: GenerationSettings, generators: list) -> Iterator[object]:
    """For one call of a pipeline: the last `strength` of the steps alone, from the latents of an
    initial image, noised to that step anew for each of N generators (SDEdit, arXiv 2108.01073).

    Inside the block the pipeline's scheduler skips the first steps: no other thread may call the
    pipeline then.

    Yields:
        The call's `latents`, (N, C, h, w).

    Raises BindplugError: a pipeline without an autoencoder, or whose size nobody can choose."""
    import torch
    from diffusers.image_processor import VaeImageProcessor
    from diffusers.utils.torch_utils import randn_tensor

    vae = getattr(pipe, "vae", None)
    if vae is None:
        raise BindplugError(f"{type(pipe).__name__} cannot start from a picture: it has no vae")
    size, steps = (settings.height, settings.width), settings.steps
    x = VaeImageProcessor().preprocess(settings.init_image, *size).to(pipe.device, vae.dtype)
    with torch.inference_mode():
        code = vae.encode(x)
        clean = code.latents if hasattr(code, "latents") else code.latent_dist.mode()
        clean = clean * vae.config.scaling_factor
    scheduler, set_timesteps = pipe.scheduler, pipe.scheduler.set_timesteps
    skipped = steps - max(1, round(steps * settings.strength))

    def set_late_timesteps(*args, **kwargs):
        set_timesteps(*args, **kwargs)
        scheduler.timesteps = scheduler.timesteps[skipped:]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(skipped)

    set_timesteps(steps, device=pipe.device)
    clean = clean.repeat(len(generators), 1, 1, 1)
    noise = randn_tensor(clean.shape, generators, device=pipe.device, dtype=clean.dtype)
    noised = scheduler.add_noise(clean, noise, scheduler.timesteps[skipped : skipped + 1])
    scheduler.set_timesteps = set_late_timesteps
    try:
        yield noised / scheduler.init_noise_sigma  # the pipeline multiplies by it
    finally:
        del scheduler.set_timesteps
