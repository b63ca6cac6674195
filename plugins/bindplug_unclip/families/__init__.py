"""Families of diffusers pipelines, one file each; `base.Family` says what a family is."""

from .base import Family
from .cascade import CascadePrior
from .ip_adapter import IPAdapter
from .kandinsky import Kandinsky
from .karlo import Karlo
from .karlo_variation import KarloVariation
from .stable_unclip import StableUnCLIP
from .words import Words

# The first that knows a pipeline has it; Words knows any with a text encoder.
FAMILIES: tuple[type[Family], ...] = (
    StableUnCLIP, Kandinsky, IPAdapter, Karlo, KarloVariation, CascadePrior, Words,
)  # fmt: skip
