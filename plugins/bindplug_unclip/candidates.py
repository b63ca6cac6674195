"""Several images generated for one, of which the nearest to the prompt is kept: the reranking by a
contrastive model of DALL-E (arXiv 2102.12092, section 2.6)."""

from __future__ import annotations

from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError
from bindplug.models.load import embedder_of

STRIDE = 1_000_000  # between the seeds of an image's candidates, so that near seeds share none


def candidate_seeds(seed: int, count: int) -> list[int]:
    """seed, seed + STRIDE, seed + 2 * STRIDE, ...: the first candidate is the image of the seed."""
    return [seed + c * STRIDE for c in range(count)]


def image_embedder(embedding: Embedding):
    """An embedder of images into an embedding's space: its own, or one that is looked up by space.

    Raises:
        BindplugError: there is none.
    """
    own = embedding.embedder
    has_images = own is not None and "image" in own.modalities
    embedder = own if has_images else embedder_of(embedding.space)
    if "image" not in embedder.modalities:
        raise BindplugError(
            f"the embedder of {embedding.space!r} supports no images, so candidates cannot be "
            "compared; ask for 1 candidate"
        )
    return embedder


def nearest(images: list, prompt: Embedding, embedder) -> int:
    """The index of the PIL image whose embedding has the highest cosine to one row."""
    return int((embedder.embed(image=images).vectors @ prompt.vectors[0]).argmax())
