"""What all released Detics have in common."""

from __future__ import annotations

import numpy as np

# Every released Detic classifies in CLIP ViT-B/32's space; sizes are its own, the threshold is
# that of the authors' demo for custom vocabularies.
RELEASED = {
    "space": "openai-clip-vit-b-32",
    "short_side": 800,
    "long_side": 1333,
    "threshold": 0.3,
    "templates": ["a {}"],  # of the names that made its own classifiers
}


def own_vocabulary(rows: np.ndarray | None) -> tuple[tuple[str, ...], np.ndarray | None]:
    """The names of a checkpoint's own classifier, and its rows (C, 512).

    A classifier of 1,203 rows is LVIS v1's, in its order; the names of any other are not in the
    file, so it gives () and None.
    """
    from bindplug.bridge.vocabulary import read_vocabulary

    names = tuple(read_vocabulary("lvis"))
    if rows is None or len(rows) != len(names):
        return (), None
    return names, rows
