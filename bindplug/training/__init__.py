"""Training encoders into one space: InfoNCE, initialisation, and a loop that resumes."""

from .contrastive import encode_with_fewer_tokens, info_nce
from .init import mimetic_init, whitening_filters
from .loop import Run, fit

__all__ = [
    "Run",
    "encode_with_fewer_tokens",
    "fit",
    "info_nce",
    "mimetic_init",
    "whitening_filters",
]
