"""The small Detic's own text and image space, separately trained, as an embedder."""

from pathlib import Path

from bindplug.plugins import Plugin


def load(weights: str, device: str, **settings):
    from bindplug.models.small.network import open_folder

    return open_folder(Path(__file__).parent / "small" / "clip", device, **settings)


PLUGIN = Plugin(
    space="small-clip",
    modalities=("image", "video", "text"),
    load=load,
    licence="Apache-2.0, with parts under MIT: bindplug/models/small/CARD.md",
    description="text and image towers of the small Detic's classifier, 160-d",
)
