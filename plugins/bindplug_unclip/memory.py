"""A memory of picture embeddings: how other senses reach the region that a decoder knows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bindplug.bridge import VocabularyBridge
from bindplug.embedding.vectors import Embedding, by_parts
from bindplug.errors import BindplugError, SpaceMismatch

FILE = "memory.safetensors"
TEMPERATURE = 0.05


@dataclass(frozen=True)
class Memory:
    """Picture embeddings.

    A decoder that was trained on pictures' embeddings does not understand a sound's, which points
    the right way from elsewhere; the mean of the memory's, weighted by a softmax of the
    similarities, it does (the projection of DeCap, arXiv 2303.03032, onto pictures).

    Attributes:
        space: of the vectors.
        names: N of them.
        vectors: (N, D), unit rows.
        sounding: so many of the first are of things that sound; sounds look only among these.
    """

    space: str
    names: list[str]
    vectors: np.ndarray
    sounding: int

    def __call__(self, embedding: Embedding) -> Embedding:
        """The embedding in the pictures' region, a sum part by part; a picture's own stays as it
        is."""
        if embedding.space != self.space:
            raise SpaceMismatch(f"memory of {self.space!r}, embedding of {embedding.space!r}")
        return by_parts(embedding, self._look)

    def _look(self, embedding: Embedding) -> Embedding:
        if embedding.modality == "image":
            return embedding
        count = self.sounding if embedding.modality == "audio" else len(self.names)
        names, vectors = self.names[:count], self.vectors[:count]
        bridge = VocabularyBridge(self.space, self.space, names, vectors, vectors, TEMPERATURE)
        return bridge(embedding)


def read_memory(folder: Path, space: str) -> Memory | None:
    """The memory beside a pipeline, if there is one."""
    if not (folder / FILE).exists():
        return None
    from safetensors.numpy import load_file

    metadata = json.loads((folder / "memory.json").read_text())
    vectors = load_file(folder / FILE)["vectors"].astype(np.float32)
    return Memory(space, metadata["names"], vectors, metadata["sounding"])


def memory_of_pictures(path: str | Path, space: str) -> Memory:
    """A memory of one's own: what `bindplug embed --image FOLDER -o FILE` wrote.

    Raises:
        BindplugError: another kind of file, or of another space.
    """
    from bindplug.storage.vector_file import map_vectors, read_metadata

    metadata = read_metadata(Path(path))
    if metadata["space"] != space:
        raise BindplugError(
            f"{path}: is of the space {metadata['space']!r}; this generator wants {space!r}"
        )
    names = list(metadata["labels"])
    return Memory(space, names, np.array(map_vectors(Path(path)), np.float32), len(names))
