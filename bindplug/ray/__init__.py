"""Embedding, detecting and generating over any number of files on Ray Data: one machine or a
cluster, one process per GPU, with parquet or Lance as output.

Needs the extra: pip install 'bindplug[ray]'."""

from .detection import detect
from .embedding import embed
from .generation import generate
from .job import Report

__all__ = ["Report", "detect", "embed", "generate"]
