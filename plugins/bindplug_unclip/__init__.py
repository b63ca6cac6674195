"""Embeddings into diffusers pipelines that take an image embedding."""

from .conditioning import conditioning

__all__ = ["conditioning"]
