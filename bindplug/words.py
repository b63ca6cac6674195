"""Vocabularies, and text vectors that are encoded once and kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from .bulk import embed_files, map_vectors, read_about
from .errors import BindplugError
from .weights import home

SHIPPED = ("default", "sounding", "lvis")
IMAGENET = ("imagenet-1k", "imagenet-21k")


def read_vocabulary(name: str) -> list[str]:
    """Words of a vocabulary.

    Args:
        name: "default" (1,003 everyday things), "sounding" (163 that sound), "lvis" (the 1,203
            categories of LVIS v1, CC BY 4.0, in its order, underscores as spaces), "imagenet-1k"
            or "imagenet-21k" (the first name of each synset, from timm), or a file with one a
            line.

    Raises:
        BindplugError: no such vocabulary, or an empty one.
    """
    if name in SHIPPED:
        from .bridge import read_shipped

        return read_shipped(name)
    if name in IMAGENET:
        words = _imagenet(name)
    else:
        try:
            words = [line.strip() for line in Path(name).read_text("utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as err:
            known = ", ".join([*SHIPPED, *IMAGENET])
            raise BindplugError(f"no vocabulary {name!r}; choose {known}, or a text file") from err
    words = list(dict.fromkeys(w for w in words if w))
    if not words:
        raise BindplugError(f"{name}: holds no words")
    return words


def _imagenet(name: str) -> list[str]:
    from timm.data import ImageNetInfo

    info = ImageNetInfo(name)
    return [d.split(",")[0].strip() for d in info.label_descriptions()]


def words_folder() -> Path:
    """Where text vectors are kept."""
    return home() / "words"


def text_vectors(embedder, texts: list[str], progress: bool = False) -> np.ndarray:
    """(N, D) unit vectors of texts; looked up where the same network has encoded the same texts.

    An interrupted encoding goes on. An embedder without an `identity`, or a cache that cannot be
    written, only means that nothing is kept.
    """
    identity = getattr(embedder, "identity", "")
    if not identity:
        return embedder.embed(text=texts).vectors
    key = "\n".join([embedder.space, identity, embedder.dtype, *texts])
    path = words_folder() / (hashlib.sha256(key.encode()).hexdigest()[:16] + ".safetensors")
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            return embedder.embed(text=texts).vectors
        embed_files(embedder, [("text", t) for t in texts], path, progress=progress)
    return np.array(map_vectors(path))


def kept() -> list[dict]:
    """What is kept: `file`, `space`, number of `texts`, and the first ones."""
    out = []
    for path in sorted(words_folder().glob("*.safetensors")):
        about = read_about(path)
        labels = about["labels"]
        out.append(
            {"file": str(path), "space": about["space"], "texts": len(labels), "first": labels[:4]}
        )
    return out
