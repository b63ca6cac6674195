from __future__ import annotations

import click

from ..errors import BindplugError
from .options import (
    device_option,
    json_options,
    modality_option,
    model_option,
    open_embedder,
    read_options,
    speed_options,
    transform_option,
)
from .output import put_json, say
from .prompts import FLAGS, mix_prompts, need_prompts, no_weights_option, prompts_of


@click.command()
@click.argument("folder", metavar="DIR")
@prompts_of(FLAGS)
@no_weights_option
@modality_option("Of the files to find.", default="image")
@click.option("--top-k", default=10, show_default=True, type=click.IntRange(1))
@json_options
@transform_option
@model_option
@speed_options
@device_option
def search(folder, prompts, mix, modality, top_k, json_file, overwrite, transform_options, model,
           device, **speed):  # fmt: skip
    """Find the files of DIR that are nearest to a prompt, or to a mixture of prompts.

    The folder is indexed on the first call; later only new and changed files are read.

    \b
      bindplug search images/ --audio bird.wav
      bindplug search images/ --audio bird.wav --image fruit.jpg --mix 0.5,0.5
    """
    from ..embedding.index import index_folder

    need_prompts(prompts)
    if modality == "text":
        raise BindplugError("texts are no files to search; choose image, audio, video, ...")
    options = read_options(transform_options, {m for m, _ in prompts})
    embedder = open_embedder(model, device, **speed)
    query = mix_prompts(embedder, prompts, mix, options)
    index = index_folder(embedder, folder, modality, progress=True)
    for error in index.errors:
        say(f"left out: {error}")
    found = index.search(query, top_k)[0]
    if json_file != "-":
        for path, score in found:
            click.echo(f"{score:.4f}  {path}")
    results = [{"file": path, "score": round(score, 6)} for path, score in found]
    metadata = {"schema": 1, "model": model, "query": query.labels[0], "results": results}
    put_json(json_file, metadata, overwrite)
