"""The tiny Detic's own text and image space, separately trained, as an embedder."""

from pathlib import Path

from bindplug.plugins import Plugin


def load(weights: str, device: str, **settings):
    from bindplug.models.imagebind import open_local

    return open_local(Path(__file__).parent / "tiny" / "clip", device, **settings)


PLUGIN = Plugin(
    space="tiny-clip",
    modalities=("image", "video", "text"),
    load=load,
    description="text and image towers of the tiny Detic's classifier, 96-d",
)
