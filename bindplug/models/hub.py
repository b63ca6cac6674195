"""Models of transformers: from the Hugging Face hub by a short name, or from a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import BindplugError
from ..storage.cache_dir import is_offline


def open_pretrained(
    model_class, processor_class, weights: str, hub: Mapping[str, str], kind: str, device: str,
    dtype: str,
):  # fmt: skip
    """A model in evaluation mode, its processor, and where they are from.

    Args:
        model_class, processor_class: of transformers, with `from_pretrained`.
        weights: a name in `hub`, or "local:FOLDER".
        hub: repositories by short name.
        kind: what the model is, for messages.

    Raises:
        BindplugError: it is not there, cannot be fetched, or is another model.
    """
    from ..device import torch_dtype

    path = hub.get(weights, weights.removeprefix("local:"))
    if weights not in hub and not Path(path).is_dir():
        raise BindplugError(f"{path}: no such folder; give one that transformers saved a model to")
    try:
        offline = is_offline()
        model = model_class.from_pretrained(path, local_files_only=offline)
        processor = processor_class.from_pretrained(path, local_files_only=offline)
    except Exception as err:  # transformers and the hub raise many kinds
        reason = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise BindplugError(f"{weights}: cannot be loaded as {kind}: {reason}") from err
    return model.eval().to(device, torch_dtype(dtype)), processor, path
