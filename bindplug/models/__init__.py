"""Loading by name: the registry of plugins, ImageBind checkpoints, the shipped models."""
