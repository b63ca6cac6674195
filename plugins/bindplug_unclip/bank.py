"""A bank of image embeddings: how embeddings of other modalities reach the region of the space that
a decoder was trained on."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bindplug.embedding.vectors import Embedding, by_parts, softmax, unit
from bindplug.errors import BindplugError, SpaceMismatch

FILE, NAMES = "memory.safetensors", "memory.json"  # beside a pipeline
TEMPERATURE = 0.02


@dataclass(frozen=True)
class ImageBank:
    """Image embeddings of one space, on whose span other embeddings are projected.

    A decoder that was trained on image embeddings does not understand an audio embedding, which
    points to the right things from another region. It does understand
    softmax(x @ vectors.T / 0.02) @ vectors, the projection of DeCap (arXiv 2303.03032) with images
    in place of texts.
    Raises BindplugError: no vectors, not finite ones, or another number of names."""

    space: str
    names: list[str]
    vectors: np.ndarray  # (N, D) float32, unit rows
    sounding: int  # of the first so many, which make sounds: audio is projected on these alone

    def __post_init__(self):
        shape = np.shape(self.vectors)
        if len(shape) != 2 or not shape[0] or shape[0] != len(self.names):
            raise BindplugError(f"image embeddings of shape {shape} for {len(self.names)} names")
        if not 0 < self.sounding <= shape[0]:
            raise BindplugError(f"{self.sounding} of {shape[0]} image embeddings are of sounds")
        if not np.isfinite(self.vectors).all():
            raise BindplugError("image embeddings with NaN or infinite values")
        object.__setattr__(self, "vectors", unit(self.vectors))

    def __call__(self, embedding: Embedding) -> Embedding:
        """Every row projected, a sum part by part; image embeddings stay as they are.
        Raises SpaceMismatch: an embedding of another space."""
        if embedding.space != self.space:
            raise SpaceMismatch(
                f"the image bank is of {self.space!r}, the embedding of {embedding.space!r}"
            )
        return by_parts(embedding, self._project)

    def _project(self, embedding: Embedding) -> Embedding:
        if embedding.modality == "image":
            return embedding
        vectors = self.vectors[: self.sounding] if embedding.modality == "audio" else self.vectors
        probabilities = softmax(embedding.vectors @ vectors.T / TEMPERATURE)
        return replace(embedding, vectors=probabilities @ vectors)


def shipped_bank(folder: Path, space: str) -> ImageBank | None:
    """The bank beside a pipeline, if there is one.
    Raises BindplugError: a damaged one."""
    if not (folder / FILE).exists():
        return None
    from safetensors.numpy import load_file

    try:
        metadata = json.loads((folder / NAMES).read_text())
        vectors = load_file(folder / FILE)["vectors"]
        return ImageBank(space, list(metadata["names"]), vectors, int(metadata["sounding"]))
    except Exception as err:  # of JSON, of safetensors, and of ImageBank
        raise BindplugError(
            f"{folder / FILE}: is damaged ({type(err).__name__}); put the pipeline there again"
        ) from err


def load_bank(path: str | Path, space: str) -> ImageBank:
    """A bank of one's own: what `bindplug embed --image FOLDER -o FILE.safetensors` wrote.
    Raises BindplugError: another kind of file, a damaged one, or one of another space."""
    from bindplug.storage.vector_file import map_vectors, read_metadata

    path = Path(path)
    metadata = read_metadata(path)
    if not isinstance(metadata.get("labels"), list) or "space" not in metadata:
        raise BindplugError(f"{path}: was not written by embed; make it again")
    if metadata["space"] != space:
        raise BindplugError(
            f"{path}: is of the space {metadata['space']!r}; this generator wants {space!r}"
        )
    names = metadata["labels"]
    try:
        return ImageBank(space, names, map_vectors(path), len(names))
    except BindplugError as err:
        raise BindplugError(f"{path}: {err}; make it again") from err
