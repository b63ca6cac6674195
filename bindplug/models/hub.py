"""Models of transformers: from the Hugging Face hub by a short name, or from a folder."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..errors import BindplugError, first_line, kind_of
from ..storage.atomic import write_file
from ..storage.cache_dir import cache_dir, hub_access, is_offline
from ..storage.hashing import folder_fingerprint

log = logging.getLogger("bindplug")


def _commit_record(repo: str) -> Path:
    return cache_dir() / "commits" / repo.replace("/", "--")


def recorded_commit(repo: str) -> str | None:
    """The commit of a repository that was first used on this machine; None before that."""
    record = _commit_record(repo)
    return record.read_text().strip() if record.is_file() else None


def record_commit(repo: str, commit: str | None) -> None:
    """Keep it, so that later calls use the same; a cache folder that cannot be written keeps
    nothing."""
    record = _commit_record(repo)
    if commit and recorded_commit(repo) is None:
        with suppress(OSError, BindplugError):
            record.parent.mkdir(parents=True, exist_ok=True)
            write_file(record, lambda f: f.write(commit.encode()))
            log.warning("%s: commit %s is used from now on; delete %s for a newer one",
                        repo, commit, record)  # fmt: skip


def pretrained_fingerprint(path: str, dtype: str) -> str:
    """Of the weights that `open_pretrained` found at `path`: the files of a folder, else the commit
    of a repository; "" where it is not known."""
    own = folder_fingerprint(Path(path)) if Path(path).is_dir() else recorded_commit(path)
    return f"{path} {own} {dtype}" if own else ""


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

    Raises BindplugError: it is not there, cannot be fetched, or is another model."""
    from ..device import torch_dtype

    path = hub.get(weights, weights.removeprefix("local:"))
    if weights not in hub and not Path(path).is_dir():
        raise BindplugError(f"{path}: no such folder; give one that transformers saved a model to")
    try:
        of = {"local_files_only": is_offline()}
        if weights in hub and (commit := recorded_commit(path)):
            of["revision"] = commit
        with hub_access():
            model = model_class.from_pretrained(path, **of)
            if weights in hub and (commit := getattr(model.config, "_commit_hash", None)):
                record_commit(path, commit)
                of["revision"] = commit  # the processor of the same
            processor = processor_class.from_pretrained(path, **of)
    except Exception as err:  # transformers and the hub raise many kinds
        raise kind_of(err)(f"{weights}: cannot be loaded as {kind}: {first_line(err)}") from err
    return model.eval().to(device, torch_dtype(dtype, device)), processor, path
