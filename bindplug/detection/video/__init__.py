"""Detection in videos, prompted by their own sound."""
