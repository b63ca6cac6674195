import pytest

import bindplug


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The small embedder, with a cache of its own."""
    monkeypatch.setenv("BINDPLUG_HOME", str(tmp_path / "home"))
    return bindplug.load_embedder("small", "cpu")
