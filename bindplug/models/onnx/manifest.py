"""`manifest.json` of an exported folder: what its graphs take and give, and what they are of."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ...embedding.modalities import MODALITIES
from ...errors import BindplugError, check_choice
from ...storage.atomic import reason, write_json
from ...storage.hashing import hash_file

MANIFEST = "manifest.json"
SCHEMA = 1
SOURCE = "source"  # the transform of an encoder that only the source model's own network can do


@dataclass(frozen=True)
class Encoder:
    """One modality's graph.

    Attributes:
        graph: its file.
        input: name, shape (the first axis, "batch", is free) and dtype of the clips it takes.
        output: the same of the (batch, width) unit vectors it gives.
        transform: name and settings of what turns an input into clips
            (`bindplug.models.onnx.transforms`), or the name "source".
        logit_scale: as in `bindplug.plugins.Network`; the output is not multiplied by it.
        files: that it needs, the graph among them.
        largest_difference: from the source model's output, over all numbers of the clips that
            were compared when it was written.
    """

    graph: str
    input: dict
    output: dict
    transform: dict
    logit_scale: float
    files: tuple[str, ...]
    largest_difference: float


@dataclass(frozen=True)
class Manifest:
    """What a folder holds.

    Attributes:
        space, width, templates: of the source model's embedder.
        source: name and fingerprint of the model, and the versions that wrote the folder.
        licence: of the model's weights; "" where it is not known.
        files: bytes and sha256 of each file but this one.
        notices: those of them that state licences and sources.
    """

    space: str
    width: int
    source: dict
    licence: str
    encoders: dict[str, Encoder]
    files: dict[str, dict]
    templates: tuple[str, ...] | None = None
    notices: tuple[str, ...] = ()
    schema: int = field(default=SCHEMA)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    write_json(folder / MANIFEST, asdict(manifest))


def read_manifest(folder: str | Path) -> Manifest:
    """Raises BindplugError: there is no manifest, or it is not one that this version reads."""
    path = Path(folder, MANIFEST)
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["schema"] != SCHEMA:
            raise ValueError(f"its schema is {data['schema']!r}, this version reads {SCHEMA}")
        encoders = {m: Encoder(**of) for m, of in data.pop("encoders").items()}
        out = Manifest(**data, encoders=encoders)
        _check(out)
    except OSError as err:
        raise BindplugError(
            f"{path}: cannot be read ({reason(err)}); give a folder that `bindplug export` wrote"
        ) from err
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        BindplugError,
    ) as err:
        raise BindplugError(f"{path}: not a manifest of `bindplug export`: {err}") from err
    return replace(out, templates=out.templates and tuple(out.templates))


def _check(manifest: Manifest) -> None:
    """Raises ValueError, KeyError or TypeError: something is absent or of another type."""
    _need(isinstance(manifest.space, str), "a space is needed")
    _need(isinstance(manifest.width, int) and manifest.width > 0, "a width is needed")
    _need(isinstance(manifest.source["model"], str), "the source's model is needed")
    templates = manifest.templates
    is_list = isinstance(templates, list) and all(isinstance(t, str) for t in templates)
    _need(templates is None or is_list, "templates are a list of texts")
    _need(bool(manifest.encoders), "encoders are needed")
    for modality, encoder in manifest.encoders.items():
        check_choice("modality", modality, MODALITIES)
        for side in (encoder.input, encoder.output):
            names = isinstance(side["name"], str) and isinstance(side["dtype"], str)
            _need(names and isinstance(side["shape"], list), f"{modality}: name, shape and dtype")
        _need(encoder.output["shape"][1:] == [manifest.width], f"{modality}: is not of that width")
        transform = encoder.transform
        texts = isinstance(transform["name"], str) and isinstance(transform["settings"], dict)
        _need(texts, f"{modality}: a transform needs name and settings")
        scale = encoder.logit_scale
        is_number = isinstance(scale, (int, float)) and math.isfinite(scale)
        _need(is_number, f"{modality}: logit_scale is a number")
        own = {encoder.graph} <= set(encoder.files) <= manifest.files.keys()
        _need(own, f"{modality}: its files are needed")
    for name in manifest.files:
        _need(bool(name) and Path(name).name == name, f"{name!r} is not a file of the folder")


def _need(holds: bool, words: str) -> None:
    if not holds:
        raise ValueError(words)


def record(path: Path) -> dict:
    """Size and hash of a file, as the manifest keeps them."""
    return {"bytes": path.stat().st_size, "sha256": hash_file(path)}


def check_files(folder: Path, manifest: Manifest, names: tuple[str, ...]) -> None:
    """BindplugError for a file that is absent or that is not the one that was exported."""
    for name in names:
        path = folder / name
        if not path.is_file():
            raise BindplugError(f"{path}: is missing; export the model again")
        if record(path) != manifest.files[name]:
            raise BindplugError(f"{path}: is not the file that was exported; export again")
