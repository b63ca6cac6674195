"""Images generated from prompts: sessions, recipes, audio prompts and animations."""

from .recipe import Recipe, read_recipe, write_image
from .session import GenerationSession
from .settings import GenerationSettings

__all__ = ["GenerationSession", "GenerationSettings", "Recipe", "read_recipe", "write_image"]
