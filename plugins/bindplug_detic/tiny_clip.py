"""The tiny Detic's own text and image space, separately trained, as an embedder."""

from pathlib import Path

from bindplug.plugins import EmbedderPlugin


def load(device: str, **settings):
    from bindplug.imagebind.local import open_local

    return open_local(Path(__file__).parent / "tiny" / "clip", device, **settings)


PLUGIN = EmbedderPlugin(
    space="tiny-clip",
    senses=("image", "video", "text"),
    load=load,
    about="text and image towers of the tiny Detic's classifier, 96-d",
)
