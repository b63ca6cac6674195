""" """

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..errors import BindplugError

JOB = "bindplug:job"  # the picture's own recipe, in its PNG


def _stem(kind: str, value: str) -> str:
    if kind != "text":
        return _stem_of(value)
    return "".join(c if c.isalnum() else "-" for c in value.lower())[:40].strip("-") or "text"


def _stem_of(path: str) -> str:
    return Path(path).stem


def _files(job: dict) -> list[str]:
    """Every file that a job reads."""
    own = [value for modality, value in job["prompts"] if modality != "text"]
    return own + [job[k] for k in ("negative_audio", "init_image", "memory") if job[k]]


def _about(job: dict) -> dict:
    """The job as it can be done again: paths that hold from anywhere, and what was in the files."""
    files = {value: str(Path(value).resolve()) for value in _files(job)}
    prompts = [[modality, files.get(value, value)] for modality, value in job["prompts"]]
    own = {k: files[job[k]] for k in ("negative_audio", "init_image", "memory") if job[k]}
    return {**job, **own, "prompts": prompts,
            "sha256": {path: _digest(Path(path)) for path in files.values()}}  # fmt: skip


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_job(png: str) -> dict:
    from PIL import Image

    from ..storage.source import check_file

    check_file(png, png, "picture")
    try:
        with Image.open(png) as picture:
            job = json.loads(picture.text[JOB])
    except (OSError, AttributeError, KeyError, ValueError) as err:
        raise BindplugError(f"{png}: holds no recipe; give a PNG that generate wrote") from err
    for path, digest in job.pop("sha256").items():
        if not Path(path).is_file():
            raise BindplugError(f"{path}: is gone; {png} was made from it")
        if _digest(Path(path)) != digest:
            raise BindplugError(f"{path}: has changed since {png} was made from it")
    job.pop("bindplug")
    job.setdefault("candidates", 1)  # pictures of earlier versions had no others beside them
    return job


def _save(picture, path: Path, metadata: dict) -> None:
    """A PNG with its job inside, and the same as JSON beside it."""
    from PIL.PngImagePlugin import PngInfo

    from .. import __version__
    from ..storage.atomic import write_file, write_json

    metadata = {"bindplug": __version__, **metadata}
    info = PngInfo()
    info.add_itxt(JOB, json.dumps(metadata))
    write_file(path, lambda f: picture.save(f, format="PNG", pnginfo=info))
    write_json(path.with_suffix(".json"), metadata)
