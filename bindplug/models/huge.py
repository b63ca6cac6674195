"""The released ImageBind as an embedder by name, fetched on its first use."""

import logging
from pathlib import Path

from ..embedding.modalities import MODALITIES
from ..plugins import Plugin
from ..storage.cache_dir import is_offline
from ..storage.checkpoints import read_catalogue
from ..storage.download import pull
from .imagebind import HUGE_SPACE, open_local

CATALOGUE = read_catalogue(Path(__file__).with_name("catalogue.json"))


def load(weights: str, device: str, **settings):
    checkpoint = CATALOGUE[0]
    if not (checkpoint.path.exists() or is_offline()):
        logging.getLogger("bindplug").warning(
            "%s: fetching %.1f GB from %s, licence %s",
            checkpoint.name, checkpoint.bytes / 1e9, checkpoint.url, checkpoint.licence,
        )  # fmt: skip
    return open_local(pull(checkpoint), device, **settings)


PLUGIN = Plugin(
    space=HUGE_SPACE,
    modalities=tuple(MODALITIES),
    load=load,
    description="ImageBind as released: six modalities, 1024-d, CC-BY-NC 4.0; fetched on first use",
    checkpoints=CATALOGUE,
)
