"""What a plugin offers, how plugins are found, and loading by name.

A plugin is an installed package with an entry point in one of four groups, `bindplug.embedders`,
`bindplug.detectors`, `bindplug.maskers` or `bindplug.generators`, that points at an
EmbedderPlugin, DetectorPlugin, MaskerPlugin or GeneratorPlugin. Those of this repository are found
in just the same way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol
from weakref import WeakValueDictionary

from .embedding import Embedding
from .errors import BindplugError, MissingDependency, SpaceMismatch
from .results import Detections
from .weights import Checkpoint

DTYPES = ("float32", "bfloat16", "float16")
GROUPS = (
    "bindplug.embedders", "bindplug.detectors", "bindplug.maskers", "bindplug.generators"
)  # fmt: skip


class Embedder(Protocol):
    """Speaks one space in some of the senses image, video, text, audio, depth, thermal and imu.

    `bindplug.embedder.Embedder` around a network of one's own is the short way to one.
    """

    space: str
    senses: tuple[str, ...]

    def embed(self, **inputs) -> Embedding: ...

    def stream(self, modality: str, items, average: bool = True, **options) -> Iterator: ...

    def logit_scale(self, modality: str) -> float: ...


class Detector(Protocol):
    """Finds what an embedding of its space means; one class a row.

    `bindplug.detector.PromptedDetector` is the short way to one.
    """

    space: str

    def detect(
        self, image, embedding: Embedding, threshold: float | None = None, bridge=None
    ) -> Detections: ...


class Masker(Protocol):
    """Makes masks of what is in boxes, for detectors without, or with worse ones."""

    def look(self, picture) -> object: ...

    def masks(self, seen, picture, boxes) -> object: ...


class Generator(Protocol):
    """Makes pictures of what an embedding of its space means.

    `size` is their height and width in pixels, `candidates` how many are painted for each that is
    kept where the command line is not told.
    """

    space: str
    size: int
    candidates: int

    def generate(self, embedding: Embedding, num_images: int = 1, seed: int = 0) -> list: ...


@dataclass(frozen=True)
class EmbedderPlugin:
    """One space's embedder: `load(device, **settings)` returns an Embedder.

    `checkpoints` are what it can fetch, for `bindplug models`; `hub` names repositories of the
    Hugging Face hub from which a library fetches its weights.
    """

    space: str
    senses: tuple[str, ...]
    load: Callable[..., Embedder]
    about: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()
    hub: tuple[str, ...] = ()


@dataclass(frozen=True)
class DetectorPlugin:
    """A detector family: `load(weights, device, **settings)`.

    `weights` names what it ships, `checkpoints` what it can fetch, `hub` what a library fetches
    for it from the Hugging Face hub.
    """

    load: Callable[..., Detector]
    weights: tuple[str, ...]
    about: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()
    hub: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaskerPlugin:
    """A masker family: `load(weights, device, **settings)`; names as in DetectorPlugin."""

    load: Callable[..., Masker]
    weights: tuple[str, ...]
    about: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()
    hub: tuple[str, ...] = ()


@dataclass(frozen=True)
class GeneratorPlugin:
    """A generator family: `load(weights, device, **settings)`; names as in DetectorPlugin."""

    load: Callable[..., Generator]
    weights: tuple[str, ...]
    about: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()
    hub: tuple[str, ...] = ()


def discover(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name; BINDPLUG_PLUGINS (names, comma-separated) restricts them."""
    allowed = os.environ.get("BINDPLUG_PLUGINS")
    chosen = None if allowed is None else {n.strip() for n in allowed.split(",")}
    found = sorted(entry_points(group=group), key=lambda e: e.name)
    return {e.name: e for e in found if chosen is None or e.name in chosen}


def kind_of(group: str) -> str:
    """embedder, detector, masker or generator."""
    return group.removeprefix("bindplug.").removesuffix("s")


def plugin(group: str, name: str):
    """Load one plugin's description.

    Raises:
        BindplugError: no plugin of that name.
        MissingDependency: it is there and cannot be imported.
    """
    found = discover(group)
    kind = kind_of(group)
    if name not in found:
        known = ", ".join(found) or "none is installed"
        raise BindplugError(f"no {kind} {name!r}; there are: {known}")
    try:
        return found[name].load()
    except Exception as err:  # whatever a third party's import raises
        raise MissingDependency(f"{kind} {name!r} cannot be loaded: {err}") from err


def pick_device(device: str = "auto") -> str:
    """A torch device name; "auto" is the GPU when there is one.

    Raises:
        BindplugError: unknown, or not on this machine.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as err:
        raise BindplugError(
            f"device {device!r} cannot be used here; choose auto, cpu, cuda, cuda:1 or mps"
        ) from err
    if device == "meta":
        raise BindplugError("device 'meta' holds no data; choose auto, cpu or cuda")
    return device


def torch_dtype(name: str):
    """torch's type of a name.

    Raises:
        BindplugError: none of float32, bfloat16 and float16.
    """
    import torch

    if name not in DTYPES:
        raise BindplugError(f"dtype {name!r}; choose one of {', '.join(DTYPES)}")
    return getattr(torch, name)


_speakers: WeakValueDictionary[str, object] = WeakValueDictionary()


def load_embedder(name: str = "tiny", device: str = "auto", **settings) -> Embedder:
    """An embedder by name.

    Args:
        name: an installed embedder ("tiny", "imagebind-huge", ...); "local:PATH" with the folder
            or file of an ImageBind checkpoint (the released imagebind_huge.pth, for one); or
            "hf:ORG/REPO", "hf:ORG/REPO@REVISION" with such a checkpoint on the Hugging Face hub.
        settings: `batch_size`, `workers`, `dtype`, `compile` and `cache`, as in
            `bindplug.embedder.Embedder`.

    Raises:
        BindplugError: an unknown name, or weights that cannot be had or read.
    """
    device = pick_device(device)
    if name.startswith("local:"):
        from .imagebind.local import open_local

        embedder = open_local(name.removeprefix("local:"), device, **settings)
    elif name.startswith("hf:"):
        from .imagebind.local import open_hub

        embedder = open_hub(name.removeprefix("hf:"), device, **settings)
    elif _looks_like_path(name):
        raise BindplugError(f"no embedder {name!r}; if it is a path, write local:{name}")
    else:
        embedder = plugin("bindplug.embedders", name).load(device, **settings)
    register_speaker(embedder)
    return embedder


def register_speaker(embedder: Embedder) -> None:
    """Let bridges into an embedder's space be built, for as long as somebody holds it."""
    _speakers[embedder.space] = embedder


def speaker(space: str) -> Embedder:
    """An embedder of a space: one that is in use, or an installed one.

    Raises:
        SpaceMismatch: nobody speaks it; what is installed is listed.
    """
    if space in _speakers:
        return _speakers[space]
    known = []
    for name in discover("bindplug.embedders"):
        found = plugin("bindplug.embedders", name)
        if found.space == space:
            absent = [c.name for c in found.checkpoints if not c.path.is_file()]
            if absent:  # gigabytes are not fetched for a bridge that nobody may have meant
                raise SpaceMismatch(
                    f"a bridge from {space!r} needs its embedder: keep the one that made the "
                    f"embedding, or run: bindplug models pull {absent[0]}"
                )
            return load_embedder(name)
        known.append(found.space)
    raise SpaceMismatch(
        f"no embedder speaks the space {space!r}, so no bridge can be built; "
        f"installed spaces: {', '.join(known)}. Load the one that made the embedding first"
    )


def load_detector(
    name: str = "detic", weights: str = "tiny", device: str = "auto", **settings
) -> Detector:
    """A detector by name, with weights that it ships, fetches, or "local:PATH".

    Args:
        settings: of the plugin; those here take `dtype` (float32, bfloat16 or float16).

    Raises:
        BindplugError: an unknown name or weights.
    """
    return _load("bindplug.detectors", name, weights, device, settings)


def load_masker(name: str, weights: str, device: str = "auto", **settings) -> Masker:
    """A masker by name; give it to a detector as its `masker`.

    Raises:
        BindplugError: an unknown name or weights.
    """
    return _load("bindplug.maskers", name, weights, device, settings)


def load_generator(
    name: str = "unclip", weights: str = "tiny", device: str = "auto", **settings
) -> Generator:
    """A generator by name, with weights that it ships, fetches, or "local:PATH".

    Raises:
        BindplugError: an unknown name or weights.
    """
    return _load("bindplug.generators", name, weights, device, settings)


def _load(group: str, name: str, weights: str, device: str, settings: dict):
    found = plugin(group, name)
    known = [*found.weights, *(c.name for c in found.checkpoints), *found.hub]
    check_weights(name, weights, known)
    return found.load(weights, pick_device(device), **settings)


def check_weights(name: str, weights: str, known: Sequence[str]) -> None:
    if weights in known or weights.startswith("local:"):
        return
    if _looks_like_path(weights):
        raise BindplugError(f"{name} has no weights {weights!r}; for a path write local:{weights}")
    raise BindplugError(
        f"{name} has no weights {weights!r}; there are: {', '.join([*known, 'local:PATH'])}"
    )


def _looks_like_path(name: str) -> bool:
    return os.sep in name or name.endswith((".pth", ".pt", ".safetensors"))


__all__ = [
    "DetectorPlugin",
    "EmbedderPlugin",
    "GeneratorPlugin",
    "MaskerPlugin",
    "SpaceMismatch",
    "discover",
    "load_detector",
    "load_embedder",
    "load_generator",
    "load_masker",
    "pick_device",
    "plugin",
    "register_speaker",
    "speaker",
]
