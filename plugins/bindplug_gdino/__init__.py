"""Grounding DINO as a detector that is told in words what a sound was heard as."""

from .detector import GroundingDinoDetector

__all__ = ["GroundingDinoDetector"]
