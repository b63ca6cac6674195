"""The released checkpoint as one safetensors file a trunk: a sound reads 345 MB of 4.8 GB."""

import json
import shutil
from pathlib import Path

import torch
from torch import Tensor

from ..errors import BindplugError
from ..storage.atomic import reason, write_json, writing
from ..storage.cache_dir import derived_folder
from ..storage.hashing import hash_file
from ..storage.vector_file import header_bytes

INDEX = "index.json"
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def modality_of_key(key: str) -> str:
    """`modality_trunks.audio.blocks.0...` to `audio`."""
    return key.split(".")[1] if "." in key else ""


def _index(folder: Path) -> dict[str, dict]:
    """`bytes` and `sha256` of each part that was written; {} without an index, or a damaged one."""
    try:
        return dict(json.loads((folder / INDEX).read_text())["parts"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _is_whole(part: Path, index: dict[str, dict]) -> bool:
    size = index.get(part.stem, {}).get("bytes")
    return part.exists() and part.stat().st_size == size


def ready(path: Path, modalities: list[str]) -> list[Path] | None:
    """The parts of a checkpoint for some trunks, None where one is absent or of a wrong size."""
    folder = derived_folder(path)
    index, files = _index(folder), [folder / f"{name}.safetensors" for name in modalities]
    return files if all(_is_whole(file, index) for file in files) else None


def split(path: Path, state: dict[str, Tensor]) -> None:
    """Write one file a trunk, each by rename; parts that are there are kept.

    Args:
        path: the checkpoint file that `state` was mapped from.
        state: all its tensors, already checked.

    Raises BindplugError: the cache cannot be written, or has too little room."""
    from filelock import FileLock

    folder = derived_folder(path)
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        groups.setdefault(modality_of_key(key), {})[key] = tensor
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            index = _index(folder)
            for modality, tensors in groups.items():
                part = folder / f"{modality}.safetensors"
                if not _is_whole(part, index):
                    _check_room(folder, modality, sum(t.nbytes for t in tensors.values()))
                    digest = write_safetensors(part, tensors)
                    index[modality] = {"bytes": part.stat().st_size, "sha256": digest}
                    write_json(folder / INDEX, {"source": str(path.resolve()), "parts": index})
    except OSError as err:
        raise BindplugError(
            f"{folder}: cannot be written ({reason(err)}); free some space, or set "
            "BINDPLUG_HOME to another folder"
        ) from err


def _check_room(folder: Path, modality: str, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + (1 << 20):
        raise BindplugError(
            f"{folder}: {size / 1e9:.2f} GB are needed for the {modality} trunk and "
            f"{free / 1e9:.2f} GB are free; free some space, or set BINDPLUG_HOME to another disk"
        )


def verify_parts(path: Path) -> list[str]:
    """The trunks whose parts are here; damaged ones are deleted, to be written again on use.
    Raises BindplugError: a part was damaged."""
    folder = derived_folder(path)
    index = _index(folder)
    for modality, known in index.items():
        file = folder / f"{modality}.safetensors"
        if file.exists() and hash_file(file) != known["sha256"]:
            file.unlink()
            raise BindplugError(f"{file}: was damaged and is deleted; the next use writes it again")
    return list(index)


def write_safetensors(path: Path, tensors: dict[str, Tensor]) -> str:
    """Write tensors one after another, never holding more than one; returns the sha256."""
    header, offset = {}, 0
    for key, tensor in tensors.items():
        span = [offset, offset := offset + tensor.nbytes]
        header[key] = {
            "dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": span
        }  # fmt: skip
    with writing(path) as file:
        file.write(header_bytes(header))
        for tensor in tensors.values():
            file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return hash_file(path)
