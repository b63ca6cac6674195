"""The released checkpoint as one safetensors file a trunk: a sound reads 345 MB of 4.8 GB."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import torch
from torch import Tensor

from ..errors import BindplugError
from ..storage.atomic import write_json, writing
from ..storage.cache_dir import derived_folder
from ..storage.hashing import hash_file
from ..storage.safetensors_header import header_bytes

INDEX = "index.json"
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def modality_of_key(key: str) -> str:
    """`modality_trunks.audio.blocks.0...` to `audio`."""
    return key.partition(".")[2].split(".")[0]


def ready(path: Path, modalities: list[str]) -> list[Path] | None:
    """The parts of a checkpoint for some trunks, None where one is absent or of a wrong size."""
    folder = derived_folder(path)
    try:
        parts = json.loads((folder / INDEX).read_text())["parts"]
        files = [folder / f"{modality}.safetensors" for modality in modalities]
        whole = all(f.stat().st_size == parts[f.stem]["bytes"] for f in files)
    except (OSError, ValueError, KeyError):
        return None
    return files if whole else None


def split(path: Path, state: dict[str, Tensor]) -> None:
    """Write one file a trunk, each by rename; parts that are there are kept.

    Args:
        path: the checkpoint file that `state` was mapped from.
        state: all its tensors, already checked.

    Raises:
        BindplugError: the cache cannot be written, or has too little room.
    """
    from filelock import FileLock

    folder = derived_folder(path)
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        groups.setdefault(modality_of_key(key), {})[key] = tensor
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            _write_parts(path, folder, groups)
    except OSError as err:
        raise BindplugError(
            f"{folder}: cannot be written ({err.strerror or err}); free some room, or set "
            "BINDPLUG_HOME to another folder"
        ) from err


def _write_parts(path: Path, folder: Path, groups: dict[str, dict[str, Tensor]]) -> None:
    index = folder / INDEX
    try:
        parts = dict(json.loads(index.read_text())["parts"])
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or a damaged one
        parts = {}
    for modality, tensors in groups.items():
        target = folder / f"{modality}.safetensors"
        if (
            modality in parts
            and target.exists()
            and target.stat().st_size == parts[modality]["bytes"]
        ):
            continue
        size = sum(t.numel() * t.element_size() for t in tensors.values())
        free = shutil.disk_usage(folder).free
        if free < size + (1 << 20):
            raise BindplugError(
                f"{folder}: {size / 1e9:.2f} GB are needed for the {modality} trunk, "
                f"{free / 1e9:.2f} GB are free; free some, or set BINDPLUG_HOME to another disk"
            )
        digest = write_safetensors(target, tensors)
        parts[modality] = {"bytes": target.stat().st_size, "sha256": digest}
        write_json(index, {"source": str(path.resolve()), "parts": parts})


def verify_parts(path: Path) -> list[str]:
    """The trunks whose parts are here; damaged ones are deleted, to be written again on use.

    Raises:
        BindplugError: a part was damaged.
    """
    folder = derived_folder(path)
    if not (folder / INDEX).exists():
        return []
    parts = json.loads((folder / INDEX).read_text())["parts"]
    for modality, metadata in parts.items():
        file = folder / f"{modality}.safetensors"
        if file.exists() and hash_file(file) != metadata["sha256"]:
            file.unlink()
            raise BindplugError(f"{file}: was damaged and is deleted; the next use writes it again")
    return list(parts)


def write_safetensors(path: Path, tensors: dict[str, Tensor]) -> str:
    """Write tensors one after another, never holding more than one; returns the sha256."""
    header, offset = {}, 0
    for key, tensor in tensors.items():
        end = offset + tensor.numel() * tensor.element_size()
        header[key] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    start = header_bytes(header)
    digest = hashlib.sha256(start)
    with writing(path) as file:
        file.write(start)
        for tensor in tensors.values():
            block = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
            file.write(block)
            digest.update(block)
    return digest.hexdigest()
