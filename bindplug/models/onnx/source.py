"""Whether a source model reads inputs as it did when it was exported."""

from __future__ import annotations

import numpy as np

from ...plugins import Network
from ...storage.source import to_array
from ..towers.probe import probe

TOLERANCE = 1e-3  # of the standard deviation; libraries that decode and resize differ by less


def transform_record(network: Network, modality: str) -> dict:
    """What a network's transform makes of an input that is the same everywhere: shape, mean and
    standard deviation of its clips."""
    clips = to_array(network.transform(modality, probe(modality))[0], modality)
    numbers = clips.astype(np.float64)
    return {"shape": list(clips.shape), "mean": float(numbers.mean()), "std": float(numbers.std())}


def is_same_transform(network: Network, modality: str, record: dict) -> bool:
    """Whether a network's transform gives what `transform_record` gave."""
    found = transform_record(network, modality)
    if record.keys() != found.keys() or record["shape"] != found["shape"]:
        return False
    most = TOLERANCE * max(found["std"], 1e-6)
    return all(abs(record[name] - found[name]) <= most for name in ("mean", "std"))
