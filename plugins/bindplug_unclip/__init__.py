"""Embeddings into diffusers pipelines."""

from .conditioning import conditioning

__all__ = ["conditioning"]
