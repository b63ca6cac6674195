"""Whether a source model reads inputs as it did when it was exported."""

from __future__ import annotations

import numpy as np

from ...plugins import Network
from ...storage.source import to_array
from ..towers.probe import probe

SAMPLES = 256
TOLERANCE = 0.01  # of the standard deviation; libraries that resize and resample differ by less


def transform_record(network: Network, modality: str) -> dict:
    """What a network's transform makes of an input that is the same everywhere: the shape of its
    clips, and numbers from all over them."""
    clips = to_array(network.transform(modality, probe(modality))[0], modality)
    at = np.linspace(0, clips.size - 1, min(clips.size, SAMPLES)).astype(int)
    return {"shape": list(clips.shape), "sample": clips.reshape(-1)[at].tolist()}


def is_same_transform(network: Network, modality: str, record: dict) -> bool:
    """Whether a network's transform gives what `transform_record` gave."""
    found = transform_record(network, modality)
    if record.keys() != found.keys() or record["shape"] != found["shape"]:
        return False
    wanted = record["sample"]
    if not isinstance(wanted, list) or not all(isinstance(x, (int, float)) for x in wanted):
        return False
    if len(wanted) != len(found["sample"]):
        return False
    differences = np.abs(np.subtract(found["sample"], wanted, dtype=np.float64))
    whole = all(isinstance(x, int) for x in found["sample"])
    return bool(differences.max() <= (0 if whole else TOLERANCE * np.std(found["sample"])))
