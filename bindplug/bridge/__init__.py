"""Training-free maps from one embedding space into another."""

from .bridge import Bridge, LinearBridge, VocabularyBridge, WordsBridge, cross, fit_bridge
from .vocabulary import default_vocabulary

__all__ = [
    "Bridge",
    "LinearBridge",
    "VocabularyBridge",
    "WordsBridge",
    "cross",
    "default_vocabulary",
    "fit_bridge",
]
