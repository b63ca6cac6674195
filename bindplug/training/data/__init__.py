"""Pairs to train on: where they come from, how a view of them is drawn, how they are batched."""
