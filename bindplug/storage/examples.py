"""The recordings and images that come with bindplug."""

from pathlib import Path


def media_folder() -> Path:
    """The folder of recordings and images that are installed, or that of a source tree."""
    installed = Path(__file__).parents[1] / "media"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "examples" / "media"


def example_sounds() -> list[Path]:
    return sorted(media_folder().glob("*.wav"))


def example_images() -> list[Path]:
    return sorted(p for p in media_folder().iterdir() if p.suffix in (".png", ".jpg"))
