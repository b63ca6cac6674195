"""Towers, each a trunk and a head into one space: built by name, saved as a folder, loaded as an
embedder (`bindplug train` makes them)."""
