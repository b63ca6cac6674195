"""The spaces that target models of bindplug live in, as embedders."""

from __future__ import annotations

from functools import partial

from bindplug.plugins import Plugin


def load(name: str, device: str, space: str, model: str, weights: str, **settings):
    """An embedder from open_clip's weights, fetched through the Hugging Face hub's cache.

    Raises:
        BindplugError: they are not there and cannot be fetched.
    """
    from bindplug.embedding.embedder import Embedder
    from bindplug.errors import BindplugError, first_line
    from bindplug.storage.cache_dir import hub_access

    from .network import OpenCLIPNetwork

    def open_model():
        import open_clip

        try:
            with hub_access():
                return open_clip.create_model(model, pretrained=weights)
        except Exception as err:  # open_clip and the hub raise many kinds
            raise BindplugError(
                f"{space}: open_clip's {model} ({weights}) cannot be had: {first_line(err)}"
            ) from err

    network = OpenCLIPNetwork(open_model)
    return Embedder(network, space, device, fingerprint=f"{model} {weights}", **settings)


def _plugin(space: str, model: str, weights: str, description: str, hub: str) -> Plugin:
    return Plugin(
        space=space,
        modalities=("image", "text"),
        load=partial(load, space=space, model=model, weights=weights),
        description=description,
        hub=(hub,),
    )


B32 = _plugin(
    "openai-clip-vit-b-32", "ViT-B-32-quickgelu", "openai",
    "CLIP ViT-B/32, 512-d: the space of Detic's classifier; MIT",
    "timm/vit_base_patch32_clip_224.openai",
)  # fmt: skip
L14 = _plugin(
    "openai-clip-vit-l-14", "ViT-L-14-quickgelu", "openai",
    "CLIP ViT-L/14, 768-d: the space of Karlo and small unCLIP; MIT",
    "timm/vit_large_patch14_clip_224.openai",
)  # fmt: skip
BIGG14 = _plugin(
    "openclip-vit-bigg-14/laion2b", "ViT-bigG-14", "laion2b_s39b_b160k",
    "OpenCLIP ViT-bigG/14, 1280-d: the space of Kandinsky 2.2; MIT",
    "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
)  # fmt: skip
