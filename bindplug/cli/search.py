from __future__ import annotations

import click

from ..errors import BindplugError
from .common import (
    FLAGS,
    PromptCommand,
    clear_errors,
    device_option,
    mix_option,
    mix_prompts,
    model_option,
    need_prompts,
    open_embedder,
    prompts_of,
    put_json,
    say,
    speed_options,
)


@click.command(cls=PromptCommand)
@click.argument("folder", metavar="DIR")
@prompts_of(FLAGS)
@mix_option
@click.option("--sense", default="image", show_default=True, help="Of the files to find.")
@click.option("--top-k", default=10, show_default=True, type=click.IntRange(1))
@click.option("--json", "json_file", metavar="FILE|-", help="Results as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace the JSON file if it exists.")
@model_option
@speed_options
@device_option
@clear_errors
def search(folder, prompts, mix, sense, top_k, json_file, overwrite, model, device, **speed):
    """Find the files of DIR that are nearest to a prompt, or to a mixture of prompts.

    The folder is indexed on the first call; later only new and changed files are read.

    \b
      bindplug search pictures/ --audio bird.wav
      bindplug search pictures/ --audio bird.wav --image fruit.jpg --weights 0.5 0.5
    """
    from ..search import index_folder
    from ..senses import SENSES

    need_prompts(prompts)
    if sense not in SENSES or sense == "text":
        raise BindplugError(
            f"no files of sense {sense!r} to search; choose image, audio, video, ..."
        )
    embedder = open_embedder(model, device, **speed)
    query = mix_prompts(embedder, prompts, mix)
    index = index_folder(embedder, folder, sense, progress=True)
    for error in index.errors:
        say(f"left out: {error}")
    found = index.search(query, top_k)[0]
    if json_file != "-":
        for path, score in found:
            click.echo(f"{score:.4f}  {path}")
    results = [{"file": path, "score": round(score, 6)} for path, score in found]
    about = {"schema": 1, "model": model, "query": query.labels[0], "results": results}
    put_json(json_file, about, overwrite)
