"""What all detectors share: a picture is looked at once, prompts are read off what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..bridge.bridge import READING, TEMPLATES, Bridge, bridge_to
from ..embedding.prefetch import prefetch
from ..embedding.vectors import Embedding
from ..errors import BindplugError
from ..transforms.vision import image_name, load_image
from .query import Query, ask
from .results import Detections


@dataclass(frozen=True)
class Features:
    """One picture as a detector sees it, for any number of prompts.

    Attributes:
        seen: the host's own.
        picture: RGB, PIL.
        name: where the picture came from.
        masked: what the detector's masker sees, once it was asked.
    """

    seen: object
    picture: object
    name: str
    masked: list = field(default_factory=list)


@dataclass(frozen=True)
class Proposals:
    """Boxes that hold something, whatever it is.

    Attributes:
        boxes: (n, 4) float32 xyxy in pixels of the picture.
        scores: (n,) float32 in [0, 1], best first.
    """

    boxes: np.ndarray
    scores: np.ndarray


class PromptedDetector:
    """A host that scores regions with rows of its space; a plugin fills in `look` and `find`.

    Attributes:
        space: that its rows live in.
        name: of host and weights, for the result.
        threshold: least score that is worth showing.
        templates: how names are worded in its space, "{}" for a name.
        masker: makes the objects' masks in place of the host (`bindplug.load_masker`).
    """

    space: str
    name: str
    threshold: float
    templates: Sequence[str] = TEMPLATES
    masker: object = None

    def look(self, pictures: list) -> list:
        """What the host sees in PIL pictures, for `find`: one object each."""
        raise NotImplementedError

    def find(
        self, seen, size: tuple[int, int], query: Query, least: float, most: int, masks: bool
    ) -> Detections:
        """What answers a query in what `look` saw.

        Args:
            size: the picture's width and height, pixels.
            least, most: lowest score and highest number of objects.
            masks: whether to make masks, for a host that does.
        """
        raise NotImplementedError

    def propose(self, seen, size: tuple[int, int]) -> Proposals:
        """Boxes without a query."""
        raise BindplugError(f"{self.name} has no proposals without a prompt, so no crops")

    def masks(self, seen, size: tuple[int, int], boxes: np.ndarray) -> np.ndarray | None:
        """(n, H, W) bool of what is in boxes, or None for a host without masks."""
        return None

    def features(self, image) -> Features:
        """Look at a picture once, for any number of prompts.

        Args:
            image: a path, PIL image or (H, W, 3) uint8 RGB array. A file's EXIF orientation is
                applied.

        Raises:
            BindplugError: a picture that cannot be read.
        """
        picture = load_image(image, upright=True)
        return Features(self.look([picture])[0], picture, image_name(image))

    def ask(self, embedding: Embedding, **options) -> Query:
        """The query that `detect` makes of an embedding; options as there."""
        return ask(embedding, self.space, templates=self.templates, **options)

    def detect(
        self,
        image,
        embedding: Embedding,
        threshold: float | None = None,
        top_k: int = 100,
        bridge: Bridge | str | None = None,
        contrast: str | None = None,
        negative: Embedding | None = None,
        vocabulary: Sequence[str] | None = None,
    ) -> Detections:
        """Find what the embedding means, each of its rows a class.

        Args:
            image: as in `features`, or what `features` gave.
            embedding: of any space that speaks text; from another space it crosses by `bridge`.
            threshold: least score, in [0, 1]; None takes the weights' own.
            top_k: most objects.
            bridge: a fitted bridge or its kind; None takes the default. "crops" asks the
                embedder's own image trunk about the detector's boxes instead.
            contrast: what a prompt has to stand against: "words" of a vocabulary, the other
                "prompts", or "none"; None is words where a bridge is crossed
                (`bindplug.query.ask`).
            negative: an embedding of what is not to be found.
            vocabulary: words of the bridge, and of the contrast.

        Raises:
            BindplugError: a picture that cannot be read, an unknown bridge or contrast.
            SpaceMismatch: no bridge can be built.
        """
        finder = Finder(self, embedding, threshold, top_k, bridge=bridge, contrast=contrast,
                        negative=negative, vocabulary=vocabulary)  # fmt: skip
        return finder(image if isinstance(image, Features) else self.features(image))


class Finder:
    """A detector with its question made up: from features to Detections.

    Args:
        detector: a PromptedDetector; the rest as in its `detect`.
        masks: whether to make masks, for hosts that do.
    """

    def __init__(
        self, detector, embedding, threshold=None, top_k=100, bridge=None, masks=True, **options
    ):
        self.masks = masks
        self.detector, self.top_k, self.bridge = detector, top_k, bridge
        self.vocabulary = options.get("vocabulary")
        self.least = detector.threshold if threshold is None else threshold
        self.crops = None
        if bridge == "crops":
            from .crops import Crops

            self.crops = Crops(embedding, **options)
            self.query = self.crops.query
        else:
            self.query = detector.ask(embedding, bridge=bridge, **options)

    def __call__(self, features: Features) -> Detections:
        detector, size = self.detector, features.picture.size
        if self.crops is not None:
            found = self.crops.find(detector, features, self.least, self.top_k)
        else:
            own = self.masks and detector.masker is None
            found = detector.find(features.seen, size, self.query, self.least, self.top_k, own)
        if self.masks and detector.masker is not None:
            found = replace(found, masks=self._masks(features, found.boxes))
        return replace(
            found,
            names=self.query.labels,
            image=features.name,
            picture=features.picture,
            metadata={**self.query.metadata, "detector": detector.name},
        )

    def explain(self, embedding: Embedding, top: int = 3) -> list[tuple[str, float]]:
        """The words that the embedding's first row is taken for, as far as its bridge has words."""
        bridge = self.bridge if isinstance(self.bridge, Bridge) else None
        if bridge is None:
            kind = "words" if self.bridge in (None, "crops", "identity") else self.bridge
            space = READING if kind == "words" else self.detector.space
            bridge = bridge_to(embedding, space, kind, self.detector.templates, self.vocabulary)
        return bridge.explain(embedding, top)[0] if bridge.words else []

    def _masks(self, features: Features, boxes: np.ndarray) -> np.ndarray:
        masker = self.detector.masker
        if not len(boxes):
            return np.zeros((0, *features.picture.size[::-1]), dtype=bool)
        if not features.masked:
            features.masked.append(masker.look(features.picture))
        return masker.masks(features.masked[0], features.picture, boxes)

    def stream(
        self, images: Iterable, batch_size: int = 1, workers: int = 2
    ) -> Iterator[tuple[object, Detections | BindplugError]]:
        """Each image with what was found, or why it could not be read; in order, a few at a time.

        Args:
            images: as in `PromptedDetector.features`.
            batch_size: pictures that the host looks at together, where they are of one size.
            workers: threads that read files ahead.
        """

        def read(image):
            try:
                return image, load_image(image, upright=True)
            except BindplugError as err:
                return image, err

        batch = []
        for pair in prefetch(read, images, workers, 2 * batch_size):
            batch.append(pair)
            if len(batch) == batch_size:
                yield from self._batch(batch)
                batch = []
        yield from self._batch(batch)

    def _batch(self, batch):
        good = [p for _, p in batch if not isinstance(p, BindplugError)]
        seen = iter(self.detector.look(good) if good else [])
        for image, picture in batch:
            if isinstance(picture, BindplugError):
                yield image, picture
            else:
                try:
                    yield image, self(Features(next(seen), picture, image_name(image)))
                except BindplugError as err:
                    yield image, err
