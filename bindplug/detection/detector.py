"""What detectors share: an image is encoded once, any number of queries are scored on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..bridge import TEMPLATES, Bridge, Target
from ..embedding.prefetch import prefetch
from ..embedding.vectors import Embedding
from ..errors import BindplugError
from ..plugins import Detector
from ..transforms.vision import image_name, load_image
from .query import Query, build_query
from .results import Detections


@dataclass(frozen=True)
class Features:
    """One encoded image, for any number of queries.

    Attributes:
        encoded: the detector's own image features.
        image: RGB, PIL.
        name: where the image came from.
        masked: a masker and its features of the image, once it was needed.
    """

    encoded: object
    image: object
    name: str
    masked: list = field(default_factory=list)


@dataclass(frozen=True)
class Proposals:
    """Class-agnostic boxes.

    Attributes:
        boxes: (n, 4) float32 xyxy in pixels of the image.
        scores: (n,) float32 in [0, 1], best first.
    """

    boxes: np.ndarray
    scores: np.ndarray

    def __post_init__(self):
        for name in ("boxes", "scores"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float32))


class PromptedDetector(Detector):
    """A detector that scores regions with rows of its space; a plugin defines `encode_images` and
    `find`, and sets `name`, `space` (or `reads_text`) and `score_threshold`.

    Attributes: those of `bindplug.plugins.Detector`.
    """

    name: str
    space: str = ""
    reads_text: bool = False
    score_threshold: float
    templates: Sequence[str] = TEMPLATES
    embedder: object = None
    masker: object = None
    words: tuple[str, ...] = ()
    word_rows: np.ndarray | None = None
    fingerprint: str = ""

    @property
    def target(self) -> Target:
        """The side of this detector that embeddings cross to."""
        return Target(self.space, tuple(self.templates), self.embedder, self.words, self.word_rows)

    def propose(self, encoded, size: tuple[int, int]) -> Proposals:
        """Class-agnostic boxes.

        Raises:
            BindplugError: this detector has none.
        """
        raise BindplugError(f"{self.name} has no proposals without a prompt, so no crops")

    def masks(self, encoded, size: tuple[int, int], boxes: np.ndarray) -> np.ndarray | None:
        """(n, H, W) bool of the objects in (n, 4) xyxy boxes; None for a detector without masks."""
        return None

    def features(self, image) -> Features:
        """Encode an image once, for any number of prompts.

        Args:
            image: a path, PIL image or (H, W, 3) uint8 RGB array. A file's EXIF orientation is
                applied.

        Raises:
            BindplugError: an image that cannot be read.
        """
        rgb = load_image(image, upright=True)
        return Features(self.encode_images([rgb])[0], rgb, image_name(image))

    def build_query(self, embedding: Embedding, **options) -> Query:
        """The query that `detect` makes of an embedding; options as there."""
        return build_query(embedding, self.target, **options)

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
        """Find what the embedding means, each of its rows a class.

        Args:
            image: as in `features`, or what `features` returned.
            embedding: of the detector's space, or of any whose embedder supports text: it crosses
                by `bridge`.
            threshold: lowest score, in [0, 1]; None takes `score_threshold`.
            top_k: highest number of objects.
            bridge: a fitted bridge or its kind; None takes the default. "crops" compares the
                detector's boxes, cut out, in the embedding's own space instead.
            competition: what a prompt competes with: "words" of a vocabulary, the other "prompts",
                or "none"; None is words where a bridge is crossed (`bindplug.detection.query`).
            negative: an embedding of what is not to be found.
            vocabulary: words of the bridge, and of the competition.

        Raises:
            BindplugError: an image that cannot be read, an unknown bridge or competition.
            SpaceMismatch: no bridge can be built.
        """
        finder = Finder(self, embedding, threshold, top_k, bridge=bridge, competition=competition,
                        negative=negative, vocabulary=vocabulary)  # fmt: skip
        return finder(image if isinstance(image, Features) else self.features(image))


class Finder:
    """A detector with a query: from image features to Detections.

    Args:
        detector: a PromptedDetector; the rest as in its `detect`.
        masks: whether to make masks, where the detector or its masker can.
    """

    def __init__(
        self, detector, embedding, threshold=None, top_k=100, bridge=None, masks=True, **options
    ):
        self.masks, self.detector, self.top_k = masks, detector, top_k
        self.score_threshold = detector.score_threshold if threshold is None else threshold
        if not 0 <= self.score_threshold <= 1:
            raise BindplugError(f"threshold {threshold}; give a number from 0 to 1")
        self.crops = None
        if bridge == "crops":
            from .crops import Crops

            self.crops = Crops(embedding, **options)
            self.query = self.crops.query
        else:
            self.query = detector.build_query(embedding, bridge=bridge, **options)

    def __call__(self, features: Features) -> Detections:
        detector, size = self.detector, features.image.size
        if self.crops is not None:
            found = self.crops.find(detector, features, self.score_threshold, self.top_k)
        else:
            own = self.masks and detector.masker is None
            found = detector.find(
                features.encoded, size, self.query, self.score_threshold, self.top_k, own
            )
        if self.masks and detector.masker is not None:
            found = replace(found, masks=self._masks(features, found.boxes))
        elif not self.masks:
            found = replace(found, masks=None)
        return replace(
            found,
            names=self.query.labels,
            image=features.name,
            picture=features.image,
            metadata={**self.query.metadata, "detector": detector.name},
        )

    def _masks(self, features: Features, boxes: np.ndarray) -> np.ndarray:
        masker = self.detector.masker
        if not len(boxes):
            return np.zeros((0, *features.image.size[::-1]), dtype=bool)
        if not features.masked or features.masked[0] is not masker:
            features.masked[:] = [masker, masker.encode_image(features.image)]
        return masker.masks(features.masked[1], features.image, boxes)

    def stream(
        self, images: Iterable, batch_size: int = 1, workers: int = 2
    ) -> Iterator[tuple[object, Detections | BindplugError]]:
        """Each image with what was found, or why it could not be read; in order, a few at a time.

        Args:
            images: as in `PromptedDetector.features`.
            batch_size: images that are encoded together.
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
        encoded = iter(self.detector.encode_images(good) if good else [])
        for source, rgb in batch:
            if isinstance(rgb, BindplugError):
                yield source, rgb
            else:
                try:
                    yield source, self(Features(next(encoded), rgb, image_name(source)))
                except BindplugError as err:
                    yield source, err
