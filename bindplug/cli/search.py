from __future__ import annotations

import click

from ..errors import BindplugError
from .options import device_option, model_option, open_embedder, speed_options
from .output import clear_errors, put_json, say
from .prompts import FLAGS, PromptCommand, mix_option, mix_prompts, need_prompts, prompts_of


@click.command(cls=PromptCommand)
@click.argument("folder", metavar="DIR")
@prompts_of(FLAGS)
@mix_option
@click.option(
    "--modality", "--sense", default="image", show_default=True, help="Of the files to find."
)
@click.option("--top-k", default=10, show_default=True, type=click.IntRange(1))
@click.option("--json", "json_file", metavar="FILE|-", help="Results as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace the JSON file if it exists.")
@model_option
@speed_options
@device_option
@clear_errors
def search(folder, prompts, mix, modality, top_k, json_file, overwrite, model, device, **speed):
    """Find the files of DIR that are nearest to a prompt, or to a mixture of prompts.

    The folder is indexed on the first call; later only new and changed files are read.

    \b
      bindplug search pictures/ --audio bird.wav
      bindplug search pictures/ --audio bird.wav --image fruit.jpg --weights 0.5 0.5
    """
    from ..embedding.index import index_folder
    from ..embedding.modalities import MODALITIES

    need_prompts(prompts)
    if modality not in MODALITIES or modality == "text":
        raise BindplugError(
            f"no files of sense {modality!r} to search; choose image, audio, video, ..."
        )
    embedder = open_embedder(model, device, **speed)
    query = mix_prompts(embedder, prompts, mix)
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
