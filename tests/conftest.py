from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden():
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def media():
    """The sounds and scenes that are installed with bindplug."""
    from bindplug.cli.demo import media_folder

    return media_folder()
