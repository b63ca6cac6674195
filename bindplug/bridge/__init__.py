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
from .crossing import TextReader, cross, text_reader
from .fit import TEMPLATES, Target, choose_bridge, fit_bridge, to_words, word_vectors
from .vocabulary import default_vocabulary

__all__ = [
    "KINDS", "READING", "TEMPLATES", "Bridge", "Crossing", "IdentityBridge", "LinearBridge",
    "Target", "TextReader", "VocabularyBridge", "WordsBridge", "choose_bridge", "cross",
    "default_vocabulary", "fit_bridge", "text_reader", "to_words", "word_vectors",
]  # fmt: skip
