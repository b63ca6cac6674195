"""Embedder: inputs of one modality to an Embedding, decoded by threads while the network works."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cache import Cache
from ..device import torch_dtype
from ..errors import BindplugError
from ..plugins import Network
from .modalities import MODALITIES, as_items, check_options, label
from .prefetch import prefetch
from .vectors import Embedding, unit


@dataclass
class Row:
    """One input on its way: its clips, then its vectors."""

    index: int  # its place
    label: str  # its name
    clips: Any = None  # (n, ...) tensor
    times: tuple = ()  # (start, end) seconds of each clip; () for stills and texts
    vectors: np.ndarray | None = None  # (1, D), or (clips, D) where clips are not averaged
    key: str | None = None  # in the cache
    error: BindplugError | None = None  # why it could not be read: then there are no vectors


class Embedder:
    """A network whose inputs are decoded by threads while it runs.

    Args:
        network: a `bindplug.plugins.Network`.
        space: name of the network's space.
        device: torch device name.
        batch_size: clips per forward pass; a still or a text counts as one.
        workers: threads that decode ahead.
        dtype: "float32", "bfloat16" or "float16" for weights and activations; the final
            normalisation is always in float32.
        compile: run the network through torch.compile (slow start, faster on long runs).
        cache: keep embeddings here and look them up by content; None does neither.
        fingerprint: of the network's weights; "" means unknown, and then nothing is cached.
        templates: as in `bindplug.plugins.Embedder`.
    """

    def __init__(
        self,
        network: Network,
        space: str,
        device: str = "cpu",
        batch_size: int = 16,
        workers: int = 2,
        dtype: str = "float32",
        compile: bool = False,
        cache: Cache | None = None,
        fingerprint: str = "",
        templates: tuple[str, ...] | None = None,
    ):
        if batch_size < 1 or workers < 1:
            raise BindplugError("batch_size and workers must be at least 1")
        self.network = self.place(network, device, dtype, compile)
        self.space, self.modalities = space, tuple(network.modalities)
        self.device, self.dtype = device, dtype
        self.batch_size, self.workers = batch_size, workers
        self.cache, self.templates = cache, templates
        self.fingerprint = fingerprint and f"{fingerprint} {dtype}"

    @staticmethod
    def place(network: Network, device: str, dtype: str, compile: bool) -> Network:
        """The network on a device, in a precision, compiled or not."""
        network = network.cast(torch_dtype(dtype, device)).to(device)
        if compile:
            network.compile()
        return network

    def embed(self, average: bool = True, **inputs) -> Embedding:
        """Embed one modality.

        Args:
            average: one row for each input; False gives one for each of its clips.
            image: a path, file object, PIL image, (H, W, 3) uint8 RGB array or (3, H, W) tensor.
                Option `upright` (False, as the reference): apply the EXIF orientation.
            text: a string. Option `truncation` of ImageBind ("current" or "old").
            audio: a path or file object, also of a video, or (array, rate in Hz). Option `clips`:
                "reference" (ImageBind: 3 of 2 s), a number, or "all"; `channel`: "first",
                "loudest" or "mix"; `normalize`: "none" or "peak". ImageBind's defaults are
                "reference", "first" and "none", as its reference has them; the small model's are
                "all", "mix" and "peak".
            video: a path, file object, or ((T, H, W, 3) uint8 array, rate in Hz). Option `clips`:
                "reference" (5 of 2 s), a number, "all".
            depth: a path, array, tensor or PIL image. Options `unit`, `baseline`, `focal_length`:
                see `transforms.depth`.
            thermal: as depth. Option `span`: see `transforms.thermal`.
            imu: a CSV file, (array, rate in Hz), or an array and the option `rate`. Options
                `acceleration`, `rotation`, `clips`: see `transforms.imu`.

            Each also takes a list or generator of these.

        Returns:
            Unit rows in the order of the inputs; the mean of an input's clips is taken as the
            reference does. `times` says which seconds the clips span.

        Raises BindplugError: no or several modalities, a modality that this embedder does not
        support, an unknown option, no input, or an input that cannot be read (it is named)."""
        known = {*MODALITIES, *self.modalities}  # a trunk of a plugin may take another kind
        given = {k: v for k, v in inputs.items() if k in known and v is not None}
        options = {k: v for k, v in inputs.items() if k not in known}
        if not given and len(options) == 1:
            raise self._not_supported(*options)
        if len(given) != 1:
            raise BindplugError(
                f"embed takes one modality per call, got {', '.join(given or options) or 'none'}; "
                "mix embeddings with bindplug.compose"
            )
        modality, value = given.popitem()
        vectors: list[np.ndarray] = []
        labels: list[str] = []
        times: list[tuple] = []
        for row in self.stream(modality, as_items(modality, value), average, **options):
            if row.error:
                raise row.error
            assert row.vectors is not None  # as it has no error
            count = len(row.vectors)
            vectors.append(row.vectors)
            labels += [row.label] * count
            if average:
                times.append(row.times)
            else:
                times += [(t,) for t in row.times] or [()] * count
        if not vectors:
            raise BindplugError(f"no {modality} to embed")
        return Embedding(
            np.concatenate(vectors), self.space, modality, tuple(labels), tuple(times),
            embedder=self,
        )  # fmt: skip

    def stream(
        self, modality: str, items: Iterable, average: bool = True, **options
    ) -> Iterator[Row]:
        """Rows one after another, in order, holding only a few inputs at a time.

        Args:
            modality: the kind of input; `items` its inputs; `average` and `options` as in `embed`.

        Yields:
            A Row for each input, with `error` set where it cannot be read.

        Raises BindplugError: a modality that this embedder does not support, or an unknown
        option."""
        self._check(modality, options)

        def read(numbered) -> Row:
            index, item = numbered
            return self._read(modality, item, index, average, options)

        batch: list[Row] = []
        for row in prefetch(read, enumerate(items), self.workers, 2 * self.batch_size):
            batch.append(row)
            clips = sum(len(r.clips) for r in batch if r.clips is not None)
            # Cached and unreadable rows have no clips: they must not pile up.
            if not clips or clips >= self.batch_size or len(batch) >= 4 * self.batch_size:
                yield from self.encode(modality, batch, average)
                batch = []
        yield from self.encode(modality, batch, average)

    def _check(self, modality: str, options: dict) -> None:
        if modality not in self.modalities:
            raise self._not_supported(modality)
        check_options(modality, options, self.options(modality))

    def read(self, modality: str, item, average: bool = True, **options) -> Row:
        """The first half of `stream` for one input: decode it to clips, without the network.

        Any number of threads may read at the same time. The Row carries its error, as there; else
        its clips are for `encode`, or its vectors are from the cache.

        Raises BindplugError: as `stream`."""
        self._check(modality, options)
        return self._read(modality, item, 0, average, options)

    def _read(self, modality: str, item, index: int, average: bool, options: dict) -> Row:
        cache = self.cache if self.fingerprint else None
        settings = f"{self.fingerprint} {modality} {average} {sorted(options.items())}"
        row = Row(index, label(modality, item, index))
        try:
            if cache is not None:
                row.key = cache.key(modality, item, settings)
            if cache is not None and row.key:
                row.vectors, row.times = cache.get(row.key)
            if row.vectors is None:
                row.clips, row.times = self.network.transform(modality, item, **options)
        except BindplugError as err:
            row.error = err
        return row

    def _not_supported(self, modality: str) -> BindplugError:
        return BindplugError(
            f"{self.space!r} does not embed {modality}; it supports {', '.join(self.modalities)}"
        )

    def options(self, modality: str) -> tuple[str, ...]:
        """Names of the options that `embed` takes for a modality."""
        return self.network.options(modality)

    def logit_scale(self, modality: str) -> float:
        """The factor by which the network multiplies unit vectors of a modality (image: 1)."""
        return self.network.logit_scale(modality)

    def encode(self, modality: str, batch: list[Row], average: bool = True) -> list[Row]:
        """The second half of `stream`: fill in the vectors of rows that have clips, all of them in
        batches together."""
        rows = [r for r in batch if r.clips is not None]
        if rows:
            counts = [len(r.clips) for r in rows]
            out = self.encode_clips(modality, [r.clips for r in rows])
            shares = np.split(out, np.cumsum(counts)[:-1])
            for row, vectors in zip(rows, shares, strict=True):
                if average:
                    vectors = vectors.mean(axis=0, keepdims=True)
                elif row.times:  # a video's crops share their clip's time
                    vectors = vectors.reshape(len(row.times), -1, vectors.shape[1]).mean(axis=1)
                row.vectors, row.clips = unit(vectors), None
                if self.cache is not None and row.key:
                    self.cache.put(row.key, row.vectors, row.times)
        return batch

    def encode_clips(self, modality: str, clips: list) -> np.ndarray:
        """(n, ...) clips of each of some inputs to (N, D) float32 outputs of the network, in
        batches of `batch_size`."""
        import torch

        with torch.inference_mode():
            parts = torch.cat(clips).split(self.batch_size)
            out = [self.network.encode(modality, x.to(self.device)).cpu() for x in parts]
        return torch.cat(out).numpy()
