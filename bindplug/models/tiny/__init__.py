"""The embedded default: a small ImageBind, trained by this project (see CARD.md)."""

from pathlib import Path

from ...plugins import Plugin


def load(weights: str, device: str, **settings):
    from ..imagebind import open_local

    return open_local(Path(__file__).parent, device, **settings)


PLUGIN = Plugin(
    space="tiny",
    modalities=("image", "video", "text", "audio"),
    load=load,
    description="small ImageBind, 128-d, trained on openly licensed sounds and pictures",
)
