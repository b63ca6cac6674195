"""Several pictures painted for one, of which the nearest to what was asked is kept."""

from __future__ import annotations

from bindplug.embedding.vectors import Embedding
from bindplug.errors import BindplugError
from bindplug.models.load import embedder_of

STRIDE = 1_000_000  # between the seeds of a picture's candidates: pictures of near seeds share none


def seeds_of(seed: int, count: int) -> list[int]:
    """Of a picture's candidates; the first is the picture's own."""
    return [seed + c * STRIDE for c in range(count)]


def eye_of(space: str):
    """An embedder of a space that sees pictures.

    Raises:
        BindplugError: there is none.
    """
    embedder = embedder_of(space)
    if "image" not in embedder.modalities:
        raise BindplugError(
            f"the embedder of {space!r} sees no pictures, so candidates cannot be compared; "
            "ask for 1 candidate"
        )
    return embedder


def nearest(pictures: list, wanted: Embedding, eye) -> int:
    """Which picture's own embedding has the highest cosine to one row: the reranking by a
    contrastive model of DALL-E (arXiv 2102.12092, section 2.6)."""
    return int((eye.embed(image=pictures).vectors @ wanted.vectors[0]).argmax())
