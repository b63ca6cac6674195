"""Evaluation on labelled files: classification, retrieval, detection, segmentation, generation."""

from .detection import average_precision, proposal_recall

__all__ = ["average_precision", "proposal_recall"]
