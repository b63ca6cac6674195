"""Detection in videos, prompted by their own sound."""

from .watch import Moment, annotate, watch

__all__ = ["Moment", "annotate", "watch"]
