"""From a file or an array to the tensor that a trunk reads, as the reference prepares it."""
