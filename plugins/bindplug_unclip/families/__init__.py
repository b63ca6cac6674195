"""One file for each family of pipelines: where it wants an image embedding, and how.

A family is a module with `width(pipe)`, the width of the embedding that a pipeline of the family
takes, or None for any other pipeline; `SPACES`, the spaces of its released models by width;
`norm(width)`, the length that unit rows are brought to; `OPTIONS`, what `arguments` takes beside
the rest; and `arguments(pipe, rows, prompts, **options)`, the pipeline's keyword arguments.
"""

from . import ip_adapter, kandinsky, stable_unclip

FAMILIES = (stable_unclip, kandinsky, ip_adapter)
