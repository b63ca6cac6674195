"""The embedded default: a small ImageBind, trained by this project (see CARD.md)."""

from pathlib import Path

from ..plugins import EmbedderPlugin


def load(device: str, **settings):
    from ..imagebind.local import open_local

    return open_local(Path(__file__).parent, device, **settings)


PLUGIN = EmbedderPlugin(
    space="tiny",
    senses=("image", "video", "text", "audio"),
    load=load,
    about="small ImageBind, 128-d, trained on openly licensed sounds and pictures",
)
