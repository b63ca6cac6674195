"""The embedded default: pretrained trunks of images and sounds, a trunk of sounds of our own, and
word vectors, bound by this project (CARD.md: sources, licences and citations)."""

from pathlib import Path

from ...plugins import Plugin


def load(weights: str, device: str, **settings):
    from .network import open_folder

    return open_folder(Path(__file__).parent, device, **settings)


PLUGIN = Plugin(
    space="small",
    modalities=("image", "video", "text", "audio"),
    load=load,
    licence="Apache-2.0, with parts under CC BY 4.0 and MIT: CARD.md, ATTRIBUTION.txt",
    description="images, videos, sounds and text in one 256-d space; offline",
)
