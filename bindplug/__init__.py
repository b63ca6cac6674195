"""Plug ImageBind embeddings in where a text embedding used to go."""
