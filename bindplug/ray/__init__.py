"""Embedding, detecting and generating over any number of files on Ray Data: one machine or a
cluster, a process a GPU, parquet or Lance out.

Needs the extra: pip install 'bindplug[ray]'."""

from .detection import detect
from .embedding import embed
from .generation import generate
from .job import Report

__all__ = ["Report", "detect", "embed", "generate"]
