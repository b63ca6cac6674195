"""Several images generated for one, of which the nearest to the prompt is kept: the reranking by a
contrastive model of DALL-E (arXiv 2102.12092, section 2.6)."""

from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError
from bindplug.models.load import embedder_of

STRIDE = 1_000_000  # between the seeds of an image's candidates, so that near seeds share none


def image_embedder(embedding: Embedding):
    """An embedder of images into an embedding's space: its own, or one that is looked up by space.
    Raises BindplugError: there is none."""
    own = embedding.embedder
    embedder = own if own and "image" in own.modalities else embedder_of(embedding.space)
    if "image" not in embedder.modalities:
        raise BindplugError(
            f"the embedder of {embedding.space!r} does not embed images, so candidates cannot be "
            "compared; ask for 1 candidate"
        )
    return embedder


def cosines(images: list, prompt: Embedding, embedder) -> list[float]:
    """Of each PIL image's embedding to one row."""
    return (embedder.embed(image=images).vectors @ prompt.vectors[0]).tolist()
