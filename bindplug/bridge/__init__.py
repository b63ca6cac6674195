"""Training-free maps from one embedding space into another."""

from .bridge import (
    KINDS,
    READING,
    Bridge,
    Crossing,
    IdentityBridge,
    LinearBridge,
    VocabularyBridge,
    WordsBridge,
)
from .crossing import cross, read_texts
from .fit import TEMPLATES, Target, choose_bridge, fit_bridge, to_words, word_vectors
from .vocabulary import default_vocabulary

__all__ = [
    "KINDS", "READING", "TEMPLATES", "Bridge", "Crossing", "IdentityBridge", "LinearBridge",
    "Target", "VocabularyBridge", "WordsBridge", "choose_bridge", "cross", "default_vocabulary",
    "fit_bridge", "read_texts", "to_words", "word_vectors",
]  # fmt: skip
