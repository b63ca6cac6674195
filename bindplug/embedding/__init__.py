"""Unit vectors that know their space, and the embedders that make them."""

from .vectors import Embedding, compose, concatenate, similarity, slerp, unit

__all__ = ["Embedding", "compose", "concatenate", "similarity", "slerp", "unit"]
