"""Repositories of the Hugging Face hub: pinned to a commit, offline where asked, and loaded."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import BindplugError
from ..storage.atomic import write_json
from ..storage.cache_dir import cache_dir, is_offline

log = logging.getLogger("bindplug")


@contextmanager
def offline_hub() -> Iterator[None]:
    """Make what loads through huggingface_hub inside a with block honour `is_offline`.

    huggingface_hub reads HF_HUB_OFFLINE once, when it is imported, and some libraries (open_clip)
    take no argument for it. So its constant is set, for the whole process, and restored afterwards.

    Raises:
        BindplugError: offline, and a file is not in the hub's cache.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    offline, before, root = is_offline(), constants.HF_HUB_OFFLINE, logging.getLogger()
    constants.HF_HUB_OFFLINE = before or offline
    if offline:  # open_clip logs there what it raises
        root.addFilter(_nothing)
    try:
        yield
    except Exception as err:
        cause = err
        while cause and not isinstance(cause, (LocalEntryNotFoundError, OfflineModeIsEnabled)):
            cause = cause.__cause__ or cause.__context__
        if not (offline and cause):
            raise
        raise BindplugError(
            f"not in the hub's cache ({constants.HF_HUB_CACHE}), and bindplug is offline; "
            "run it once with a connection"
        ) from err
    finally:
        constants.HF_HUB_OFFLINE = before
        root.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


def pinned_revision(repo: str) -> str | None:
    """The commit of a repository that every use takes: the one that its first use resolved.

    It is recorded in `cache_dir()/hub.json`, as {"ORG/REPO": commit}. Resolving asks the hub for
    the head of its main branch; offline or unreachable, the hub's own cache of it.

    Returns:
        40 hex digits, or None where neither knows the repository (loading it will say why).

    Raises:
        BindplugError: hub.json is damaged.
    """
    from filelock import FileLock

    path = cache_dir() / "hub.json"
    if repo in (pins := _read_pins(path)):
        return pins[repo]
    commit = _head(repo)
    if commit is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name("hub.json.lock")):
            pins = _read_pins(path)
            if repo in pins:  # another process was faster
                return pins[repo]
            write_json(path, {**pins, repo: commit})
    except (OSError, BindplugError) as err:  # no reason not to load
        log.warning("%s is not pinned: %s", repo, err)
        return commit
    log.warning(
        "hf:%s: commit %s is used from now on (recorded in %s; delete its line for a newer one)",
        repo, commit, path,
    )  # fmt: skip
    return commit


def _read_pins(path: Path) -> dict[str, str]:
    try:
        pins = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as err:
        raise BindplugError(f"{path}: cannot be read ({err}); delete it") from err
    if not isinstance(pins, dict) or not all(isinstance(c, str) for c in pins.values()):
        raise BindplugError(f"{path}: holds no commits by repository; delete it")
    return pins


def _head(repo: str) -> str | None:
    """The commit of a repository's main branch, from the hub or else from its cache."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.file_download import repo_folder_name

    try:
        if not is_offline():
            return HfApi().repo_info(repo, timeout=10).sha
    except Exception as err:  # the hub raises many kinds
        log.info("hf:%s: not resolved by the hub (%s)", repo, first_line(err))
    folder = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo, repo_type="model"))
    head = folder / "refs" / "main"
    return head.read_text().strip() if head.is_file() else None


def first_line(err: Exception) -> str:
    """The first line of an error's message, or its type's name where it has none."""
    return (str(err).strip() or type(err).__name__).splitlines()[0]


def open_pretrained(
    model_class, processor_class, weights: str, hub: Mapping[str, str], kind: str, device: str,
    dtype: str,
):  # fmt: skip
    """A transformers model in evaluation mode on `device`, its processor, and where they are from.

    Args:
        model_class, processor_class: of transformers, with `from_pretrained`.
        weights: a name in `hub`, or "local:FOLDER" as `save_pretrained` writes it.
        hub: repositories ("ORG/REPO") by name; the commit is `pinned_revision`'s.
        kind: what the model is, for messages.
        dtype: "float32", "bfloat16" or "float16".

    Returns:
        model, processor, and the repository or folder.

    Raises:
        BindplugError: it is not there, cannot be fetched, or is another model.
    """
    from ..device import torch_dtype

    path = hub.get(weights, weights.removeprefix("local:"))
    if weights not in hub and not Path(path).is_dir():
        raise BindplugError(f"{path}: no such folder; give one that transformers saved a model to")
    options = {"local_files_only": is_offline()}
    if weights in hub:
        options["revision"] = pinned_revision(path) or "main"
    try:
        with offline_hub():
            model = model_class.from_pretrained(path, **options)
            processor = processor_class.from_pretrained(path, **options)
    except Exception as err:  # transformers and the hub raise many kinds
        raise BindplugError(f"{weights}: cannot be loaded as {kind}: {first_line(err)}") from err
    return model.eval().to(device, torch_dtype(dtype)), processor, path
