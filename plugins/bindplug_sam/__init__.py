"""Masks of any detector's boxes, by Segment Anything."""

from .masker import SamMasker

__all__ = ["SamMasker"]
