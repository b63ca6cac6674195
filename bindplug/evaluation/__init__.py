"""Measures of detections, by the libraries that define them."""

from .detection import average_precision, proposal_recall

__all__ = ["average_precision", "proposal_recall"]
