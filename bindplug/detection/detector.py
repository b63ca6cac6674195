"""What detectors share: an image is encoded once, any number of queries are scored on it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from numbers import Integral
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..bridge import TEMPLATES, Bridge, Target
from ..embedding.prefetch import prefetch
from ..embedding.vectors import Embedding
from ..errors import BindplugError
from ..plugins import Detector, Embedder, Masker
from ..transforms.vision import image_name, load_image
from .query import Query, build_query
from .results import Detections

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Features:
    """One encoded image, for any number of queries."""

    encoded: object  # the detector's own image features
    image: "Image"  # RGB
    name: str  # where the image came from
    masked: list = field(default_factory=list)  # a masker and its features, once they were needed


class Proposals(NamedTuple):
    """Class-agnostic boxes (n, 4) xyxy in pixels, with scores (n,) in [0, 1], best first."""

    boxes: np.ndarray
    scores: np.ndarray


class PromptedDetector(Detector):
    """A `bindplug.plugins.Detector` but for `encode_images` and `find`, which a plugin defines; it
    sets `name`, `space` (or `reads_text`) and `score_threshold` too."""

    name: str
    space: str = ""
    reads_text: bool = False
    score_threshold: float
    templates: Sequence[str] = TEMPLATES
    embedder: Embedder | None = None
    masker: Masker | None = None
    words: tuple[str, ...] = ()
    word_rows: np.ndarray | None = None
    fingerprint: str = ""

    @property
    def target(self) -> Target:
        """The side of this detector that embeddings cross to."""
        return Target(self.space, tuple(self.templates), self.embedder, self.words, self.word_rows)

    def propose(self, encoded, size: tuple[int, int]) -> Proposals:
        """Class-agnostic boxes; a BindplugError where a detector has none."""
        raise BindplugError(
            f"{self.name} has no proposals without a prompt; choose another bridge than crops"
        )

    def masks(self, encoded, size: tuple[int, int], boxes: np.ndarray) -> np.ndarray | None:
        """(n, H, W) bool of the objects in (n, 4) xyxy boxes; None for a detector without masks."""
        return None

    def features(self, image) -> Features:
        """Encode an image once, for any number of prompts.

        Args:
            image: a path, PIL image or (H, W, 3) uint8 RGB array. A file's EXIF orientation is
                applied.

        Raises BindplugError: an image that cannot be read."""
        rgb = load_image(image, upright=True)
        return Features(self.encode_images([rgb])[0], rgb, image_name(image))

    def build_query(self, embedding: Embedding, **options) -> Query:
        """The query that `detect` makes of an embedding; options as there."""
        return build_query(embedding, self.target, **options)

    def detect(
        self, image, embedding: Embedding, threshold: float | None = None, top_k: int = 100,
        bridge: Bridge | str | None = None, competition: str | None = None,
        negative: Embedding | None = None, vocabulary: str | Iterable[str] | None = None,
    ) -> Detections:  # fmt: skip
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
            vocabulary: words of the bridge and the competition, or as in `read_vocabulary`.

        Raises BindplugError: an image that cannot be read, an unknown bridge or competition;
        SpaceMismatch: no bridge can be built."""
        finder = Finder(self, embedding, threshold, top_k, bridge=bridge, competition=competition,
                        negative=negative, vocabulary=vocabulary)  # fmt: skip
        return finder(image if isinstance(image, Features) else self.features(image))


class Finder:
    """A detector with a query, arguments as of `PromptedDetector.detect`: from image features to
    Detections, with masks where these are wanted and the detector or its masker makes some."""

    def __init__(
        self, detector, embedding, threshold=None, top_k=100, bridge=None, masks=True, **options
    ):
        self.masks, self.detector, self.top_k = masks, detector, top_k
        self.score_threshold = detector.score_threshold if threshold is None else threshold
        if not 0 <= self.score_threshold <= 1:
            raise BindplugError(f"threshold {threshold}; give a number from 0 to 1")
        if not isinstance(top_k, Integral) or isinstance(top_k, bool) or top_k < 1:
            raise BindplugError(f"top_k {top_k!r}; give a whole number, at least 1")
        self.crops = None
        if bridge == "crops":
            from .crops import Crops

            self.crops = Crops(embedding, **options)
            self.query = self.crops.query
        else:
            self.query = detector.build_query(embedding, bridge=bridge, **options)

    def __call__(self, features: Features) -> Detections:
        detector, size = self.detector, features.image.size
        limits = self.score_threshold, self.top_k
        if self.crops is not None:
            found = self.crops.find(detector, features, *limits)
        else:
            own = self.masks and detector.masker is None
            found = detector.find(features.encoded, size, self.query, *limits, own)
        masks = found.masks if self.masks else None
        if self.masks and detector.masker is not None:
            masks = self._masks(features, found.boxes)
        metadata = {**self.query.metadata, "detector": detector.name}
        return replace(found, masks=masks, names=self.query.labels, image=features.name,
                       picture=features.image, metadata=metadata)  # fmt: skip

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

        pairs = iter(prefetch(read, images, workers, 2 * batch_size))
        while batch := list(islice(pairs, batch_size)):
            good = [rgb for _, rgb in batch if not isinstance(rgb, BindplugError)]
            encoded = iter(self.detector.encode_images(good) if good else [])
            for source, found in batch:
                if not isinstance(found, BindplugError):
                    features = Features(next(encoded), found, image_name(source))
                    try:
                        found = self(features)
                    except BindplugError as err:
                        found = err
                yield source, found
