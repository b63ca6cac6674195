"""What is used where nobody names a model: the only place in the core that names target models."""

EMBEDDER = "tiny"
DETECTOR = ("detic", "tiny")  # plugin, weights
GENERATOR = ("unclip", "tiny")  # plugin, weights
JUDGE = "tiny-clip"  # the embedder that evaluates generated images
