"""One file for each family of pipelines: where it wants an embedding, and how.

A family is a module with

- `width(pipe)`: the width of the embedding that a pipeline of the family takes, or None for any
  other pipeline; 0 for one that reads words;
- `SPACES`: the spaces of its released models by width;
- `REGION`: "image" or "text", the part of that space that it was trained on;
- `norm(width)`: the length that unit rows are brought to;
- `OPTIONS`: what `arguments` takes beside the rest, `negative` among them where the pipeline can
  be steered away from an embedding;
- `arguments(pipe, rows, prompts, **options)`: the pipeline's keyword arguments;
- `settings(steps, guidance_scale, height, width)`: the same for the usual settings.
"""

from . import (
    cascade,
    ip_adapter,
    kandinsky,
    karlo,
    karlo_variation,
    stable_unclip,
    words,
)

# The first that knows a pipeline has it; any pipeline with a text encoder reads words.
FAMILIES = (stable_unclip, kandinsky, ip_adapter, karlo, karlo_variation, cascade, words)
