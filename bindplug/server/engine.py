"""The models on one device: what requests do with them. Inputs are read by threads, and the models
run on the worker's."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable
from contextlib import contextmanager
from dataclasses import replace

from PIL import Image

from ..detection.detector import Features
from ..embedding.classifier import ZeroShot
from ..embedding.embedder import Row
from ..embedding.modalities import options_of
from ..embedding.vectors import Embedding
from ..errors import BindplugError
from ..transforms.vision import load_image
from .checks import check_input
from .kept import Kept
from .settings import NONE, Limits, Models, Refused
from .uploads import Sent, Upload
from .worker import Worker

PROMPTS = 1000  # embeddings that are kept
LABEL_BYTES = 64e6  # of the vectors of labels that are kept


class Engine:
    """An embedder, a detector and a generator on one device.

    Attributes:
        device: its torch device name.
        detector: None where the server has none.
        session: a GenerationSession; None where the server has no generator.
        worker: runs them.
        features: image features by the image's sha256.
        embedded: prompts' embeddings, by what they were made from.
        classifiers: by their labels and templates.

    Raises BindplugError: a model that cannot be loaded."""

    def __init__(self, models: Models, device: str, limits: Limits, worker: Worker):
        from ..generation.session import GenerationSession
        from ..models.load import load_beside, open_detector

        dtype = {} if models.dtype == "float32" else {"dtype": models.dtype}
        settings = {**dtype, "batch_size": models.batch_on(device)}
        settings |= {} if models.split else {"split": False}
        self.models, self.device, self.limits, self.worker = models, device, limits, worker
        self.session = self.detector = None
        if models.generator == NONE:
            self.embedder = load_beside(models.model, device, **settings)
        else:
            self.session = GenerationSession(
                models.model, models.generator, models.generator_weights, device,
                embedder_settings=settings,
            )  # fmt: skip
            self.embedder = self.session.embedder
        if models.detector != NONE:
            self.detector = open_detector(
                models.detector, models.weights, models.masks, device, models.dtype
            )
        self._warm_up()
        self.features = Kept(limits.keep_seconds, limits.keep_images)
        self.embedded = Kept(limits.keep_seconds, PROMPTS)
        self.classifiers = Kept(limits.keep_seconds, LABEL_BYTES, lambda c: c.vectors.nbytes)
        # Inputs that were read and wait for the network fill memory, so there are few of them: a
        # batch that runs and the next.
        self._room = asyncio.Semaphore(2 * models.batch_on(device))
        self._calls = 0

    def _warm_up(self) -> None:
        """What the first request would wait for: weights that are read when they are first used,
        and the words of the default bridge."""
        if "text" in self.embedder.modalities and self.detector is not None:
            prompt = self.embedder.embed(text="a dog")
            self.detector.detect(Image.new("RGB", (64, 64)), prompt)

    async def embed(self, prompts, options: dict, rate: float | None = None) -> list[Embedding]:
        """An Embedding of one row for each (modality, Upload or text), in order.

        Those that were embedded before are looked up; the others join batches.
        Raises BindplugError: one that cannot be used."""
        return await all_of(self._embed_one(*p, options, rate) for p in prompts)

    async def _embed_one(self, modality: str, value, options: dict, rate) -> Embedding:
        if modality not in self.embedder.modalities:
            known = ", ".join(self.embedder.modalities)
            raise BindplugError(
                f"{self.embedder.space!r} does not embed {modality}; it supports {known}"
            )
        own = options_of(modality, options)
        content = value.sha256 if isinstance(value, Upload) else value
        group = modality, json.dumps(own, sort_keys=True)
        key = (*group, content, rate)
        embedding = self.embedded.get(key)
        if embedding is None:

            def read() -> Row:
                item = check_input(modality, value, self.limits, rate)
                row = self.embedder.read(modality, item, **own)
                if row.error:
                    raise row.error
                return row

            def work(rows: list[Row]) -> list[Embedding]:
                return [self._embedding(modality, r) for r in self.embedder.encode(modality, rows)]

            embedding = await self._read_and_encode(read, group, work)
            self.embedded.put(key, embedding)
        label = value.name if isinstance(value, Upload) else value
        return replace(embedding, labels=(label,))

    def _embedding(self, modality: str, row) -> Embedding:
        return Embedding(row.vectors, self.embedder.space, modality, (row.label,), (row.times,),
                         embedder=self.embedder)  # fmt: skip

    async def encode(self, uploads: list[Upload | Sent]) -> list[Features]:
        """The features of images, which are kept for a while; those that the detector has not seen
        join batches.
        Raises Refused (404): one that was sent before and is kept no more."""
        return await all_of(map(self._encode_one, uploads))

    async def _encode_one(self, upload: Upload | Sent) -> Features:
        key = upload.sha256
        features = self.features.get(key)
        if features is None and isinstance(upload, Sent):
            raise Refused(404, f"the image sha256:{key} is no longer kept; send it again")
        if features is None:
            detector = self.need_detector()

            def read():
                return load_image(check_input("image", upload, self.limits), upright=True)

            def work(images: list) -> list[Features]:
                encoded = detector.encode_images(images)
                return [Features(*pair, "") for pair in zip(encoded, images, strict=True)]

            features = await self._read_and_encode(read, "encode_images", work)
            self.features.put(key, features)
        return replace(features, name=upload.name)

    async def classifier(self, names: dict[str, list[str]], templates: list[str]) -> ZeroShot:
        """The classifier of some labels, whose vectors are kept for a while."""
        key = json.dumps([names, templates])
        classifier = self.classifiers.get(key)
        if classifier is None:
            classifier = await self.run(ZeroShot, self.embedder, names, templates or None)
            self.classifiers.put(key, classifier)
        return classifier

    async def _read_and_encode(self, read: Callable, group, work: Callable[[list], list]):
        """The result of `work` for what `read` gives: read by a thread, worked on in a batch with
        other calls of the same group."""
        with self.busy():
            async with self._room:
                item = await asyncio.to_thread(read)
                [result] = await self.worker.run_together(group, work, [item])
                return result

    async def run(self, work: Callable, *args):
        """`work(*args)` on the worker's thread."""
        with self.busy():
            return await self.worker.run(work, *args)

    @contextmanager
    def busy(self):
        """Count as one more call for this block."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    def calls(self) -> int:
        """Calls that are read, wait or run."""
        return self._calls

    def load(self) -> int:
        """What a new call would wait for: the calls before it, and whatever runs, which may be of a
        client that is gone."""
        return self._calls + self.worker.running

    def need_detector(self):
        """The detector; Refused (404) where the server has none."""
        if self.detector is None:
            raise Refused(404, "this server has no detector")
        return self.detector

    def need_session(self):
        """The GenerationSession; Refused (404) where the server has no generator."""
        if self.session is None:
            raise Refused(404, "this server has no generator")
        return self.session


async def all_of(calls: Iterable[Coroutine]) -> list:
    """The results of coroutines that run at the same time; when one fails, the others are ended."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
