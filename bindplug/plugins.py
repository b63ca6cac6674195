"""What a plugin is: the protocols of its models, and one description of it.

A plugin is an installed package with an entry point in one of four groups, `bindplug.embedders`,
`bindplug.detectors`, `bindplug.maskers` or `bindplug.generators`, that points at a `Plugin`. Those
of this repository are found in the same way (`bindplug.models.registry`). Nothing is loaded here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL.Image import Image

    from .bridge import Bridge
    from .detection.query import Query
    from .detection.results import Detections
    from .embedding.embedder import Row
    from .embedding.vectors import Embedding
    from .storage.checkpoints import Checkpoint


@dataclass(frozen=True)
class NumpyTransform:
    """A transform that an exported network can do without torch.

    Attributes:
        name: in `bindplug.models.onnx.transforms.TRANSFORMS`.
        settings: its keyword arguments, plain numbers.
        arrays: tables that it looks things up in.
    """

    name: str
    settings: dict = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


class Network(Protocol):
    """Encoders of some modalities into one space; `bindplug.Embedder` wraps it.

    Weights may be loaded when a modality is first encoded: `transform`, `options` and `modalities`
    work without them.
    """

    modalities: tuple[str, ...]

    def options(self, modality: str) -> tuple[str, ...]:
        """Names of the options that `transform` takes for a modality."""
        ...

    def transform(self, modality: str, item, **options) -> tuple[torch.Tensor, tuple]:
        """One input to its clips.

        Returns:
            (clips, ...) tensor, and for each clip the (start, end) seconds that it spans; () for
            stills and texts. A modality with several crops a clip gives all crops of a clip in
            turn.

        Raises BindplugError: an input that cannot be read (it is named), or an option out of
        range."""
        ...

    def encode(self, modality: str, clips: torch.Tensor) -> torch.Tensor:
        """(B, ...) clips, already on the network's device, to (B, D) float32: unit vectors, times
        the logit scale or not."""
        ...

    def logit_scale(self, modality: str) -> float:
        """The factor by which a modality's unit vectors are multiplied before the product that
        gives logits; image: 1, text: usually 1 / temperature."""
        ...

    def to(self, device: str) -> Network:
        """Move to a torch device, in place."""
        ...

    def cast(self, dtype: torch.dtype) -> Network:
        """Weights and activations in `dtype`, in place; normalisation stays in float32."""
        ...

    def compile(self) -> Network:
        """Run the encoders through torch.compile from now on, in place."""
        ...

    def numpy_transform(self, modality: str) -> NumpyTransform | None:
        """The equivalent of `transform` for a modality that needs no torch; None where there is
        none. A network may lack this method."""
        return None


class Embedder(Protocol):
    """Embeds some modalities into one space. `bindplug.Embedder` around a Network is one.

    Attributes:
        space: name of the space; compared exactly.
        modalities: some of image, video, text, audio, depth, thermal and imu.
        device: torch device name.
        fingerprint: of weights and precision: equal fingerprints mean equal vectors. "" is
            unknown, and then nothing is cached.
        templates: wordings of a name that its text encoder was trained on, "{}" for the name; None
            leaves them to the caller.
    """

    space: str
    modalities: tuple[str, ...]
    device: str
    fingerprint: str
    templates: tuple[str, ...] | None

    def options(self, modality: str) -> tuple[str, ...]:
        """Names of the options that `embed` takes for a modality."""
        ...

    def embed(self, average: bool = True, **inputs) -> Embedding:
        """Inputs of one modality, and its options, to an Embedding."""
        ...

    def stream(
        self, modality: str, items: Iterable, average: bool = True, **options
    ) -> Iterator[Row]:
        """A Row for each input, in order; one that cannot be read carries its error."""
        ...

    def read(self, modality: str, item, average: bool = True, **options) -> Row:
        """The first half of `stream` for one input, without the network; threads may share it."""
        ...

    def encode(self, modality: str, batch: list[Row], average: bool = True) -> list[Row]:
        """The second half of `stream`: rows of `read` with their vectors."""
        ...

    def logit_scale(self, modality: str) -> float:
        """As in Network."""
        ...


class Detector(Protocol):
    """Scores the regions of an image with the rows of a Query.

    `bindplug.detection.detector.PromptedDetector` supplies all but `encode_images` and `find`.

    Attributes:
        name: plugin and weights, for results.
        space: the space of the rows that regions are compared with; "" where `reads_text`.
        reads_text: it takes words in place of rows.
        score_threshold: lowest score that is worth showing with these weights.
        templates: wordings of a name in its space, "{}" for the name.
        embedder: the text encoder of its space where it has one of its own, else None.
        masker: makes the objects' masks in place of the detector; None for its own.
        words, word_rows: a vocabulary (V words) whose rows (V, E) in the space come with the
            weights; () and None without.
        fingerprint: of the weights; "" is unknown.
    """

    name: str
    space: str
    reads_text: bool
    score_threshold: float
    templates: Sequence[str]
    embedder: Embedder | None
    masker: Masker | None
    words: tuple[str, ...]
    word_rows: np.ndarray | None
    fingerprint: str

    def encode_images(self, images: list[Image]) -> list:
        """RGB images to the image features of each, for `find`."""
        ...

    def find(
        self,
        encoded,
        size: tuple[int, int],
        query: Query,
        score_threshold: float,
        max_detections: int,
        masks: bool,
    ) -> Detections:
        """The regions of one image that answer a query, best first."""
        ...

    def propose(self, encoded, size: tuple[int, int]):
        """Class-agnostic boxes with scores (`bindplug.detection.detector.Proposals`)."""
        ...

    def masks(self, encoded, size: tuple[int, int], boxes: np.ndarray) -> np.ndarray | None:
        """(n, H, W) bool of the objects in (n, 4) xyxy boxes, pixels; None without masks."""
        ...

    def detect(
        self,
        image,
        embedding: Embedding,
        threshold: float | None = None,
        top_k: int = 100,
        bridge: Bridge | str | None = None,
        competition: str | None = None,
        negative: Embedding | None = None,
        vocabulary: Sequence[str] | None = None,
    ) -> Detections:
        """Encode an image and find what an embedding means in it."""
        ...


class Masker(Protocol):
    """Segments the objects in boxes, for detectors without masks."""

    name: str

    def encode_image(self, image: Image):
        """An RGB image to its features, for `masks`."""
        ...

    def masks(self, encoded, image: Image, boxes: np.ndarray) -> np.ndarray:
        """(n, H, W) bool of the objects in (n, 4) xyxy boxes, pixels."""
        ...


class Generator(Protocol):
    """Generates images from an embedding.

    Attributes:
        space: the space that it is conditioned on; "" where `reads_text`.
        reads_text: it takes words in place of an embedding.
        size: height and width of its images, pixels.
        candidates: images generated for each one that is kept, where the caller does not say.
    """

    space: str
    reads_text: bool
    size: int
    candidates: int

    def generate(
        self, embedding: Embedding, num_images: int = 1, seed: int = 0, **settings
    ) -> list[Image]:
        """`num_images` images for each row of the embedding, row by row; image i has seed + i."""
        ...


@dataclass(frozen=True)
class Plugin:
    """One entry point: how its model is loaded, and what weights there are.

    Attributes:
        load: `load(weights, device, **settings)` returns an Embedder, Detector, Masker or
            Generator. `weights` is one of the names below or "local:PATH"; for an embedder it is
            the entry point's own name.
        description: one line, with the licence of the weights.
        weights: names that the package ships.
        licence: of the weights that the package ships.
        checkpoints: what it can download (`bindplug models pull`).
        hub: names of what a library downloads from the Hugging Face hub.
        space, modalities: of an embedder, known without loading it.
    """

    load: Callable[..., Embedder | Detector | Masker | Generator]
    description: str = ""
    weights: tuple[str, ...] = ()
    licence: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()
    hub: tuple[str, ...] = ()
    space: str = ""
    modalities: tuple[str, ...] = ()
