"""Training encoders into one space: InfoNCE, initialisation, and a loop that resumes."""

from .contrastive import encode_short_text, encode_with_fewer_tokens, info_nce
from .features import Standardise, cached, encode_views
from .init import mimetic_init, sine_cosine, whitening_filters
from .loop import Run, fit, step_generator
from .sampling import Groups
from .zero_shot import accuracy

__all__ = [
    "Groups",
    "Run",
    "Standardise",
    "accuracy",
    "cached",
    "encode_short_text",
    "encode_views",
    "encode_with_fewer_tokens",
    "fit",
    "info_nce",
    "mimetic_init",
    "sine_cosine",
    "step_generator",
    "whitening_filters",
]
