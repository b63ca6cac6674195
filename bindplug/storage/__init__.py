"""Files: atomic writes, the cache folder, hashes, checkpoints and vector files."""
