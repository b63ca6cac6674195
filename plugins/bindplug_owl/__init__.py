"""OWL-ViT and OWLv2 of transformers, prompted by embeddings."""

from .detector import OwlDetector
from .text import OwlText

__all__ = ["OwlDetector", "OwlText"]
