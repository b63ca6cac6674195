"""Training encoders into one space: InfoNCE, initialisation, and a loop that resumes."""

from .contrastive import encode_short_text, encode_with_fewer_tokens, info_nce
from .init import mimetic_init, sine_cosine, whitening_filters
from .loop import Run, fit, step_generator

__all__ = [
    "Run",
    "encode_short_text",
    "encode_with_fewer_tokens",
    "fit",
    "info_nce",
    "mimetic_init",
    "sine_cosine",
    "step_generator",
    "whitening_filters",
]
