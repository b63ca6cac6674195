"""Embedders, detectors, maskers and generators by name."""

import logging
import os
from functools import lru_cache
from pathlib import Path
from typing import cast

from ..defaults import DETECTOR, EMBEDDER, GENERATOR
from ..device import pick_device
from ..errors import BindplugError, SpaceMismatch
from ..plugins import Detector, Embedder, Generator, Masker
from .registry import plugin, plugins_of

log = logging.getLogger("bindplug")


def load_embedder(name: str = EMBEDDER, device: str = "auto", **settings) -> Embedder:
    """Load an embedder by name.

    Args:
        name: an installed embedder ("small", "imagebind-huge", ...); "local:PATH" with the folder
            that `bindplug train` wrote, or the folder or file of an ImageBind checkpoint (the
            released imagebind_huge.pth, for one); "hf:ORG/REPO", "hf:ORG/REPO@REVISION" with such
            a folder or checkpoint on the Hugging Face hub; or "onnx:FOLDER" with a folder that
            `bindplug export` wrote, which runs without torch.
        settings: `batch_size`, `workers`, `dtype`, `compile` and `cache`, as in
            `bindplug.Embedder`.

    Raises BindplugError: an unknown name, or weights that cannot be fetched or read."""
    if name.startswith("onnx:"):
        from .onnx.embedder import open_onnx

        return open_onnx(name.removeprefix("onnx:"), load_embedder, device, **settings)
    from .imagebind import fetch_hub

    device = pick_device(device)
    if name.startswith("local:"):
        return _open_path(Path(name.removeprefix("local:")), device, settings)
    if name.startswith("hf:"):
        return _open_path(fetch_hub(name.removeprefix("hf:")), device, settings)
    if _looks_like_path(name):
        raise BindplugError(f"no embedder {name!r}; if it is a path, write local:{name}")
    return cast(Embedder, plugin("bindplug.embedders", name).load(name, device, **settings))


def absolute_name(name: str) -> str:
    """An embedder's name that means the same in every folder: a path in it is made absolute."""
    if not name.startswith(("local:", "onnx:")):
        return name
    kind, _, path = name.partition(":")
    return f"{kind}:{Path(path).resolve()}"


def load_beside(name: str, device: str, **settings) -> Embedder:
    """`load_embedder` for use with other models on a device; onnx: stays on the CPU."""
    return load_embedder(name, "cpu" if name.startswith("onnx:") else device, **settings)


def _open_path(path: Path, device: str, settings: dict) -> Embedder:
    """An embedder from a folder of towers, or from ImageBind's weights."""
    from .imagebind import open_local
    from .towers.network import is_towers, open_towers

    if is_towers(path):
        settings.pop("split", None)  # a folder of towers is one file for all
        return open_towers(path, load_beside, device, **settings)
    return open_local(path, device, **settings)


def embedder_of(space: str, device: str = "auto") -> Embedder:
    """An installed embedder of a space; the last four are kept.
    Raises SpaceMismatch: no installed embedder has it, or its weights are not here: gigabytes are
    not downloaded for a bridge that nobody may have meant."""
    import torch

    device = str(torch.empty(0, device=pick_device(device)).device)  # "cuda" is "cuda:0"
    return _embedder_of(space, device)


@lru_cache(maxsize=4)
def _embedder_of(space: str, device: str) -> Embedder:
    known = []
    for name, found in plugins_of("bindplug.embedders"):
        if found.space == space:
            absent = [c.name for c in found.checkpoints if not c.path.is_file()]
            if absent:
                raise SpaceMismatch(
                    f"a bridge from or to {space!r} needs its text encoder; run: "
                    f"bindplug models pull {absent[0]}"
                )
            log.info("loading the embedder %s for the space %s on %s", name, space, device)
            return load_embedder(name, device)
        known.append(found.space)
    raise SpaceMismatch(
        f"no installed embedder has the space {space!r}, so no bridge can be built; installed "
        f"spaces: {', '.join(known)}. Embed with an embedder of that space, or pass a fitted bridge"
    )


embedder_of.cache_clear = _embedder_of.cache_clear  # type: ignore[attr-defined]  # as of lru_cache


def load_detector(
    name: str = DETECTOR[0], weights: str = DETECTOR[1], device: str = "auto", **settings
) -> Detector:
    """Load a detector by name, with weights that it ships or fetches, or "local:PATH".

    Args:
        settings: for the plugin; bindplug's own take `dtype` (float32, bfloat16 or float16).

    Raises BindplugError: an unknown name or weights."""
    return _load("bindplug.detectors", name, weights, device, settings)


def open_detector(name: str, weights: str, masks: str | None, device: str, dtype: str) -> Detector:
    """A detector with its masker (`masker_name`), where one is named. float32, which is the default
    everywhere, is left to the plugin. Raises BindplugError: as `load_detector`."""
    detector = load_detector(
        name, weights, device, **({} if dtype == "float32" else {"dtype": dtype})
    )
    if masks:
        detector.masker = load_masker(*masker_name(masks), device)
    return detector


def load_masker(name: str, weights: str, device: str = "auto", **settings) -> Masker:
    """Load a masker by name, to be a detector's `masker`; errors as in `load_detector`."""
    return _load("bindplug.maskers", name, weights, device, settings)


def masker_name(text: str) -> tuple[str, str]:
    """The plugin and the weights of PLUGIN/NAME, for `load_masker`; BindplugError for others."""
    plugin, given, name = text.partition("/")
    if not given:
        raise BindplugError(f"masks {text!r}; give PLUGIN/NAME, as `bindplug models` lists them")
    return plugin, name


def load_generator(
    name: str = GENERATOR[0], weights: str = GENERATOR[1], device: str = "auto", **settings
) -> Generator:
    """Load a generator by name; `weights` and errors as in `load_detector`."""
    return _load("bindplug.generators", name, weights, device, settings)


def _load(group: str, name: str, weights: str, device: str, settings: dict):
    found = plugin(group, name)
    known = [*found.weights, *(c.name for c in found.checkpoints), *found.hub]
    if weights not in known and not weights.startswith("local:"):
        there = f"there are: {', '.join([*known, 'local:PATH'])}"
        hint = f"for a path write local:{weights}" if _looks_like_path(weights) else there
        raise BindplugError(f"{name} has no weights {weights!r}; {hint}")
    return found.load(weights, pick_device(device), **settings)


def _looks_like_path(name: str) -> bool:
    return os.sep in name or name.endswith((".pth", ".pt", ".safetensors"))
