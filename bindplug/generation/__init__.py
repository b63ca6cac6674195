"""Images generated from a prompt."""
