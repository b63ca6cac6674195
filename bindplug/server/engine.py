"""The models on one device: what requests do with them, each step on the worker's thread."""

import asyncio
import json
from dataclasses import replace

from PIL import Image

from ..detection.detector import Features
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


class Engine:
    """An embedder, a detector and a generator on one device.

    Attributes:
        detector: None where the server has none.
        session: a GenerationSession; None where the server has no generator.
        worker: runs them.
        features: image features by the image's sha256.

    Raises BindplugError: a model that cannot be loaded."""

    def __init__(self, models: Models, device: str, limits: Limits, worker: Worker):
        from ..generation.session import GenerationSession
        from ..models.load import load_embedder, open_detector

        dtype = {} if models.dtype == "float32" else {"dtype": models.dtype}
        settings = {**dtype, "batch_size": models.batch_on(device)}
        settings |= {} if models.split else {"split": False}
        self.models, self.limits, self.worker = models, limits, worker
        self.session = self.detector = None
        if models.generator == NONE:
            self.embedder = load_embedder(models.model, device, **settings)
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
        out = await asyncio.gather(*(self._embed_one(*p, options, rate) for p in prompts))
        return list(out)

    async def _embed_one(self, modality: str, value, options: dict, rate) -> Embedding:
        if modality not in self.embedder.modalities:
            known = ", ".join(self.embedder.modalities)
            raise BindplugError(f"{self.embedder.space!r} does not embed {modality}, but {known}")
        own = options_of(modality, options)
        content = value.sha256 if isinstance(value, Upload) else value
        group = modality, json.dumps(own, sort_keys=True)
        key = (*group, content, rate)
        embedding = self.embedded.get(key)
        if embedding is None:
            item = await asyncio.to_thread(check_input, modality, value, self.limits, rate)

            def work(items: list) -> list:
                rows = self.embedder.stream(modality, items, **own)
                return [row.error or self._embedding(modality, row) for row in rows]

            [embedding] = await self.worker.run_together(group, work, [item])
            self.embedded.put(key, embedding)
        label = value.name if isinstance(value, Upload) else value
        return replace(embedding, labels=(label,))

    def _embedding(self, modality: str, row) -> Embedding:
        return Embedding(row.vectors, self.embedder.space, modality, (row.label,), (row.times,),
                         embedder=self.embedder)  # fmt: skip

    async def encode(self, upload: Upload | Sent) -> Features:
        """The features of an image, which are kept for a while.
        Raises Refused (404): one that was sent before and is kept no more."""
        key = upload.sha256
        features = self.features.get(key)
        if features is None and isinstance(upload, Sent):
            raise Refused(404, f"the image sha256:{key} is kept no more; send it again")
        if features is None:
            item = await asyncio.to_thread(check_input, "image", upload, self.limits)
            image = await asyncio.to_thread(load_image, item, True)
            [encoded] = await self.worker.run_together(
                "encode_images", self.need_detector().encode_images, [image]
            )
            features = Features(encoded, image, upload.name)
            self.features.put(key, features)
        return replace(features, name=upload.name)

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
