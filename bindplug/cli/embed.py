from __future__ import annotations

from pathlib import Path

import click

from ..errors import BindplugError
from .common import (
    Failures,
    clear_errors,
    device_option,
    embed_prompts,
    list_prompts,
    model_option,
    prompt_options,
    put_json,
    say,
)


@click.command()
@prompt_options
@model_option
@click.option("-o", "--output", metavar="FILE", help="x.safetensors or x.npy; else JSON to stdout.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@device_option
@clear_errors
def embed(audio, text, image, model, output, overwrite, device):
    """Write embeddings, one unit row for each input, sounds first, then texts, then pictures.

    \b
      bindplug embed --audio dog.wav --audio rain.wav -o sounds.npy
      bindplug embed --text "a dog"
    """
    from ..plugins import load_embedder
    from ..results import refuse_existing

    path = None if output is None else Path(output)
    if path is not None:
        if path.suffix not in (".safetensors", ".npy"):
            raise BindplugError(f"{path}: unknown ending; choose x.safetensors or x.npy")
        refuse_existing([path], overwrite)
    prompts, failures = list_prompts(audio=audio, text=text, image=image), Failures()
    embedder = load_embedder(model, device)
    found = embed_prompts(embedder, failures, prompts)
    if path is None:
        rows = [[round(float(v), 6) for v in row] for row in found.vectors]
        put_json("-", {"space": found.space, "labels": list(found.labels), "vectors": rows}, False)
    else:
        _write(path, found)
        say(f"{len(found)} x {found.vectors.shape[1]} of {found.space!r} -> {path}")
    failures.finish()


def _write(path: Path, found) -> None:
    import json

    import numpy as np
    from safetensors.numpy import save

    from ..results import make_folder, write_file

    make_folder(path.parent)
    if path.suffix == ".npy":
        write_file(path, lambda f: np.save(f, found.vectors))
        return
    about = {"space": found.space, "labels": json.dumps(found.labels)}
    data = save({"vectors": np.ascontiguousarray(found.vectors)}, metadata=about)
    write_file(path, lambda f: f.write(data))
