"""What is used where nobody names a model: the only place in the core that names target models."""

EMBEDDER = "small"
DETECTOR = ("detic", "small")  # plugin, weights
GENERATOR = ("unclip", "small")  # plugin, weights
JUDGE = "small-clip"  # the embedder that evaluates generated images
