"""Small models of the released ones' classes, for tests that the released weights cannot run."""
