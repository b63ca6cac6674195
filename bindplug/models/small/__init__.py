"""The embedded default: pretrained image and audio trunks and word vectors, bound by this project
(see CARD.md for what they were made from, their licences and citations)."""

from pathlib import Path

from ...plugins import Plugin


def load(weights: str, device: str, **settings):
    from .network import open_folder

    return open_folder(Path(__file__).parent, device, **settings)


PLUGIN = Plugin(
    space="small",
    modalities=("image", "video", "text", "audio"),
    load=load,
    description="EfficientNet-Lite0 and aiSFX bound to one 256-d space with text; offline",
)
