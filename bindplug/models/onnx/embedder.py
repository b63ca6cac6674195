"""An exported folder as an embedder that runs on onnxruntime."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ...embedding.embedder import Embedder
from ...errors import BindplugError, MissingDependency, first_line
from ...storage.source import to_array
from .manifest import MANIFEST, SOURCE, Encoder, check_files, read_manifest
from .transforms import ArrayTransform


class OnnxNetwork:
    """The graphs of a folder, each read when it is first needed: a `bindplug.plugins.Network` whose
    clips and vectors are NumPy arrays and which stays on the CPU in float32.

    Args:
        folder: as `bindplug.models.onnx.export.export_onnx` writes it.
        load_embedder: of the source model, for transforms that only its network can do.
    """

    def __init__(self, folder: Path, load_embedder: Callable):
        self.folder, self.manifest = folder, read_manifest(folder)
        self.modalities = tuple(self.manifest.encoders)
        self._load_embedder, self._source = load_embedder, None
        self._transforms, self._sessions, self._same = {}, {}, set()
        self._lock = threading.Lock()  # inputs are read by threads

    def options(self, modality: str) -> tuple[str, ...]:
        if self._is_of_source(modality):
            return self._source_network(modality).options(modality)
        return self._array_transform(modality).options

    def transform(self, modality: str, item, **options) -> tuple[np.ndarray, tuple]:
        if self._is_of_source(modality):
            clips, times = self._source_network(modality).transform(modality, item, **options)
            clips = to_array(clips, modality)
        else:
            clips, times = self._array_transform(modality)(item, **options)
        wanted = self.manifest.encoders[modality].input
        if list(clips.shape[1:]) != wanted["shape"][1:] or str(clips.dtype) != wanted["dtype"]:
            raise BindplugError(
                f"{self.folder}: its {modality} graph takes {wanted['shape'][1:]} "
                f"{wanted['dtype']}, and the transform gives {list(clips.shape[1:])} "
                f"{clips.dtype}; export the model again"
            )
        return clips, times

    def encode(self, modality: str, clips) -> np.ndarray:
        """(B, ...) clips to (B, width) float32 unit vectors."""
        encoder, session = self.manifest.encoders[modality], self._session(modality)
        clips = np.ascontiguousarray(to_array(clips, modality))
        try:
            return session.run([encoder.output["name"]], {encoder.input["name"]: clips})[0]
        except Exception as err:  # onnxruntime has its own kinds
            graph = self.folder / encoder.graph
            raise BindplugError(f"{graph}: fails in onnxruntime: {first_line(err)}") from err

    def logit_scale(self, modality: str) -> float:
        return self.manifest.encoders[modality].logit_scale

    def _is_of_source(self, modality: str) -> bool:
        return self.manifest.encoders[modality].transform["name"] == SOURCE

    def _array_transform(self, modality: str) -> ArrayTransform:
        with self._lock:
            if modality not in self._transforms:
                encoder = self.manifest.encoders[modality]
                self._transforms[modality] = ArrayTransform(
                    encoder.transform["name"],
                    encoder.transform["settings"],
                    self._arrays(encoder),
                )
            return self._transforms[modality]

    def _arrays(self, encoder: Encoder) -> dict[str, np.ndarray]:
        from safetensors.numpy import load_file

        tables = tuple(name for name in encoder.files if name.endswith(".safetensors"))
        check_files(self.folder, self.manifest, tables)
        return {k: v for name in tables for k, v in load_file(self.folder / name).items()}

    def _source_network(self, modality: str):
        """The source model's network, once it has been seen to read a modality as it did."""
        with self._lock:
            if self._source is None:
                name = self.manifest.source["model"]
                if not name:
                    raise BindplugError(
                        f"{self.folder}: was exported from an embedder without a name, so the "
                        "transform cannot be loaded; export an installed embedder by its name"
                    )
                try:
                    source = self._load_embedder(name, "cpu")
                except BindplugError as err:
                    raise BindplugError(
                        f"{self.folder}: some of its inputs are read by the transforms of "
                        f"{name!r}, which cannot be loaded: {err}"
                    ) from err
                self._source = source.network
            if modality not in self._same:
                from .source import is_same_transform  # imports torch, as the source does

                record = self.manifest.encoders[modality].transform["settings"]
                if not is_same_transform(self._source, modality, record):
                    raise BindplugError(
                        f"{self.folder}: its {modality} inputs are read by the transform of "
                        f"{self.manifest.source['model']!r}, which gives other results than "
                        "when the model was exported; export it again"
                    )
                self._same.add(modality)
            return self._source

    def _session(self, modality: str):
        with self._lock:
            if modality not in self._sessions:
                encoder = self.manifest.encoders[modality]
                check_files(self.folder, self.manifest, encoder.files)
                self._sessions[modality] = open_session(self.folder / encoder.graph)
            return self._sessions[modality]


class OnnxEmbedder(Embedder):
    """`bindplug.Embedder` around an OnnxNetwork."""

    @staticmethod
    def place(network: OnnxNetwork, device: str, dtype: str, compile: bool) -> OnnxNetwork:
        """The network as it is. Raises BindplugError: it shall be elsewhere or otherwise."""
        if device != "cpu":
            raise BindplugError(f"device {device!r}; onnx: runs on the CPU, choose auto or cpu")
        if dtype != "float32":
            raise BindplugError(f"dtype {dtype!r}; the graphs of onnx: compute in float32")
        if compile:
            raise BindplugError("onnx: is compiled already; leave compile out")
        return network

    def encode_clips(self, modality: str, clips: list) -> np.ndarray:
        x, size = np.concatenate(clips), self.batch_size
        parts = [x[start : start + size] for start in range(0, len(x), size)]
        return np.concatenate([self.network.encode(modality, part) for part in parts])


def open_session(graph: Path):
    """An onnxruntime session on the CPU, with OMP_NUM_THREADS threads or one for each core.
    Raises BindplugError: it is no graph that onnxruntime runs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    threads = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = int(threads) if threads.isdecimal() else 0
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as err:  # onnxruntime has its own kinds
        raise BindplugError(f"{graph}: cannot be run by onnxruntime: {first_line(err)}") from err


def open_onnx(
    folder: str | Path, load_embedder: Callable, device: str = "auto", **settings
) -> OnnxEmbedder:
    """An embedder from a folder that `bindplug export` wrote.

    Args:
        load_embedder: as in `OnnxNetwork`.
        device: auto or cpu.
        settings: as in `Embedder`.

    Raises BindplugError: no such folder, or a setting that it does not have; MissingDependency:
    onnxruntime is not installed."""
    if find_spec("onnxruntime") is None:
        raise MissingDependency("onnx: needs onnxruntime; run: pip install 'bindplug[onnx]'")
    folder = Path(folder).absolute()  # graphs are read later, perhaps from another folder
    network = OnnxNetwork(folder, load_embedder)
    # Every file's hash is in the manifest, and is checked before the file is used.
    fingerprint = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:16]
    return OnnxEmbedder(
        network,
        network.manifest.space,
        "cpu" if device == "auto" else device,
        fingerprint=f"onnx {fingerprint}",
        templates=network.manifest.templates,
        **settings,
    )
