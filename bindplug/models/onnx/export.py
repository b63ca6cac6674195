"""A model's encoders to a folder of ONNX graphs with a manifest."""

from __future__ import annotations

import io
import logging
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ... import __version__
from ...embedding.embedder import Embedder
from ...errors import BindplugError, FileExists, MissingDependency, check_choice, first_line
from ...plugins import Network, NumpyTransform
from ...storage.atomic import explain, make_folder, write_file
from ...storage.locks import locked
from ..load import absolute_name, load_embedder
from ..registry import discover, plugin
from ..towers.probe import probe
from .embedder import OnnxNetwork, open_session
from .manifest import (
    MANIFEST,
    SOURCE,
    Encoder,
    Manifest,
    read_manifest,
    record,
    write_manifest,
)
from .source import transform_record

NEEDED = ("onnx", "onnxscript", "onnxruntime")
CLIPS, VECTORS = "clips", "vectors"  # names of a graph's input and output
EMBEDDED = 1_900_000_000  # bytes of weights that a graph's own file holds; ONNX ends at 2 GiB
TOLERANCE = 1e-5  # of each number of a unit vector
TEXTS = ("rain on a tin roof", "a dog barks", "two engines, far away")
NOTICES = ("LICENSE*", "LICENCE*", "NOTICE*", "ATTRIBUTION*", "CARD.md")


def export_onnx(
    model: str | Embedder,
    folder: str | Path,
    modalities: Sequence[str] = (),
    overwrite: bool = False,
) -> Manifest:
    """Write encoders of a model as ONNX, for `load_embedder("onnx:FOLDER")` and other runtimes.

    Each graph maps the clips of one modality's transform, (batch, ...), to (batch, width) float32
    unit vectors. Its output is compared with the model's own at several batch sizes before the
    folder appears.

    Args:
        model: a name as in `bindplug.load_embedder`, or an embedder in float32 on the CPU. Inputs
            of modalities whose transform needs torch can later be read only if a name was given.
        folder: to write; it appears whole or not at all.
        modalities: to export; () takes all that the model has.
        overwrite: replace a folder that an earlier export wrote.

    Raises BindplugError: a model or modality that is not known, a folder of something else, an
    encoder that cannot be exported, or one whose graph gives other vectors; FileExists: the folder
    exists; MissingDependency: a package is not installed."""
    for name in NEEDED:
        if find_spec(name) is None:
            raise MissingDependency(f"export needs {name}; run: pip install 'bindplug[onnx]'")
    folder = Path(os.path.realpath(folder))  # a link is followed
    _refuse_folder(folder, overwrite)
    name, embedder = _named(model)
    network = getattr(embedder, "network", None)
    if network is None or isinstance(network, OnnxNetwork):
        raise BindplugError(f"{name or embedder.space}: has no torch network to export")
    for modality in modalities:
        check_choice("modality", modality, network.modalities)
    with locked(folder), _new_folder(folder, overwrite) as scratch:
        return _write(embedder, name, scratch, tuple(modalities) or tuple(network.modalities))


def _named(model: str | Embedder) -> tuple[str, Embedder]:
    """A model's name, "" where it has none, and its embedder."""
    if not isinstance(model, str):
        dtype = getattr(model, "dtype", "float32")
        if (model.device, dtype) != ("cpu", "float32"):
            raise BindplugError(
                f"{model.space!r} is on {model.device} in {dtype}; export one in float32 on the CPU"
            )
        return "", model
    return absolute_name(model), load_embedder(model, "cpu")


def _write(embedder: Embedder, model: str, folder: Path, modalities: tuple[str, ...]) -> Manifest:
    network, name = embedder.network, model or embedder.space
    encoders = {
        m: _export_encoder(network, m, folder, f"{name}: its {m} encoder")
        for m in dict.fromkeys(modalities)
    }
    notices = _copy_notices(network, folder)
    manifest = Manifest(
        space=embedder.space,
        width=next(iter(encoders.values())).output["shape"][1],
        source={
            "model": model,
            "fingerprint": embedder.fingerprint,
            "versions": {
                "bindplug": __version__,
                **{name: version(name) for name in ("torch", *NEEDED)},
            },
        },
        licence=_licence(model),
        encoders=encoders,
        files={path.name: record(path) for path in sorted(folder.iterdir())},
        templates=embedder.templates,
        notices=notices,
    )
    write_manifest(folder, manifest)
    return manifest


class _Encoder(nn.Module):
    """(B, ...) clips of one modality to (B, D) float32 unit vectors."""

    def __init__(self, network: Network, modality: str):
        super().__init__()
        self.network, self.modality = network, modality

    def forward(self, clips: Tensor) -> Tensor:
        return F.normalize(self.network.encode(self.modality, clips).float(), dim=-1)


def _export_encoder(network: Network, modality: str, folder: Path, what: str) -> Encoder:
    """Write one modality's files; `what` names the encoder in messages."""
    graph, encoder = folder / f"{modality}.onnx", _Encoder(network, modality).eval()
    clips = _example_clips(network, modality)
    with torch.no_grad():
        vectors = encoder(clips)  # also loads the weights
        program = _exported(encoder, clips, what)
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # stack traces, with this machine's paths
    weights = sum(of.const_value.nbytes for of in program.model.graph.initializers.values())
    program.save(graph, external_data=weights > EMBEDDED)
    difference = _largest_difference(graph, clips, vectors, what)
    transform = getattr(network, "numpy_transform", lambda modality: None)(modality)
    transform = transform or NumpyTransform(SOURCE, transform_record(network, modality))
    if transform.arrays:
        from safetensors.numpy import save

        data = save(transform.arrays)
        write_file(folder / f"{modality}.safetensors", lambda file: file.write(data))
    dtype = str(clips.dtype).removeprefix("torch.")
    return Encoder(
        graph=graph.name,
        input={"name": CLIPS, "shape": ["batch", *clips.shape[1:]], "dtype": dtype},
        output={"name": VECTORS, "shape": ["batch", vectors.shape[1]], "dtype": "float32"},
        transform={"name": transform.name, "settings": transform.settings},
        logit_scale=network.logit_scale(modality),
        files=tuple(sorted(path.name for path in folder.glob(f"{modality}.*"))),
        largest_difference=difference,
    )


def _example_clips(network: Network, modality: str) -> Tensor:
    """(B, ...) different clips, at least 3."""
    if modality == "text":
        return torch.cat([network.transform(modality, text)[0] for text in TEXTS])
    clips = network.transform(modality, probe(modality))[0]
    return torch.cat([clips, clips.flip(-1), 0.5 * clips])


def _exported(encoder: nn.Module, clips: Tensor, what: str) -> torch.onnx.ONNXProgram:
    batch = torch.export.Dim("batch", min=1)
    try:
        with _quiet():
            return torch.onnx.export(
                encoder, (clips,), dynamo=True, verbose=False, input_names=[CLIPS],
                output_names=[VECTORS], dynamic_shapes={"clips": {0: batch}},
            )  # fmt: skip
    except Exception as err:  # torch raises many kinds
        raise BindplugError(
            f"{what} cannot be exported to ONNX: {first_line(err.__cause__ or err)}"
        ) from err


def _largest_difference(graph: Path, clips: Tensor, vectors: Tensor, what: str) -> float:
    """Between the numbers of a graph's and of the model's vectors, over batches of 1, 2 and all
    clips. Raises BindplugError: it is above TOLERANCE, or the graph takes one batch size only."""
    session, differences = open_session(graph), []
    for size in (1, 2, len(clips)):
        wanted, why = vectors[:size].numpy(), ""
        try:
            [found] = session.run([VECTORS], {CLIPS: clips[:size].numpy()})
            why = "" if found.shape == wanted.shape else f"{size} clips give {found.shape} vectors"
        except Exception as err:  # onnxruntime has its own kinds
            why = first_line(err)
        if why:
            raise BindplugError(
                f"{what} fixes the batch size when it is exported, as len(x) does and x.shape[0] "
                f"does not: {why}"
            )
        differences.append(np.abs(found - wanted).max())
    difference = float(np.max(differences))
    if not difference <= TOLERANCE:  # NaN is no number below it
        raise BindplugError(
            f"{what}: the vectors of its ONNX graph differ by {difference:.1e} from its own; at "
            f"most {TOLERANCE:.0e} is allowed, so nothing was written"
        )
    return difference


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes, warnings and printed graphs; for the whole process."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _licence(model: str) -> str:
    """Of an installed embedder's weights; "" where it is not known."""
    if model not in discover("bindplug.embedders"):
        return ""
    found = plugin("bindplug.embedders", model)
    return found.licence or ", ".join(c.licence for c in found.checkpoints)


def _copy_notices(network: Network, folder: Path) -> tuple[str, ...]:
    """Copy what states licences and sources beside the model's weights."""
    source = getattr(network, "folder", None)
    found = [path for name in NOTICES for path in sorted(Path(source).glob(name))] if source else []
    for path in found:
        shutil.copyfile(path, folder / path.name)
    return tuple(path.name for path in found)


def _refuse_folder(folder: Path, overwrite: bool) -> None:
    """Raises FileExists or BindplugError: what is there may not be replaced."""
    with suppress(FileNotFoundError):  # the current folder is gone
        if Path.cwd().is_relative_to(folder):
            raise BindplugError(
                f"{folder}: is or holds the current folder; choose another --output"
            )
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        own = read_manifest(folder).files
    except BindplugError as err:
        raise BindplugError(
            f"{folder}: is not a folder that export wrote; choose another --output"
        ) from err
    for path in sorted(folder.iterdir()):
        is_own = path.is_file() and (
            path.name == MANIFEST or own.get(path.name, {}).get("bytes") == path.stat().st_size
        )
        if not is_own:
            raise BindplugError(
                f"{folder}: holds {path.name}, which is not as export wrote it; move it away or "
                "choose another --output"
            )
    if not overwrite:
        raise FileExists(f"{folder}: exists")


@contextmanager
def _new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A scratch folder that takes the place of `folder` when the block ends well, and what is there
    by then may be replaced."""
    mark = secrets.token_hex(8)
    parent = make_folder(folder.parent)
    scratch, old = parent / f".{mark}.part", parent / f".{mark}.old"
    try:
        with explain(folder):
            scratch.mkdir()
            yield scratch
            _refuse_folder(folder, overwrite)
            if folder.exists():
                os.replace(folder, old)
            try:
                os.replace(scratch, folder)
            except BaseException:  # Ctrl-C too
                if old.exists():
                    os.replace(old, folder)
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
