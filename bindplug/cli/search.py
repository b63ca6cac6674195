from pathlib import Path

import click

from ..embedding.modalities import MODALITIES, embed_one, options_of
from ..embedding.options import read_options
from ..errors import BindplugError
from . import options as opt
from .output import check_json, check_outputs, put_json, say
from .prompts import need_prompts, no_weights_option, prompt_files, prompts_of


@click.command()
@click.argument("folder", metavar="DIR")
@prompts_of(MODALITIES)
@no_weights_option
@opt.modality_option("Modality of the files to find.", default="image")
@opt.top_k_option(10)
@click.option("--store", default="numpy", show_default=True,
              help="What ranks the vectors: numpy, faiss or lancedb, "
                   "all with the same results.")  # fmt: skip
@click.option("--export", metavar="DIR",
              help="Also write the vectors to DIR/vectors.parquet, for pandas, "
                   "datasets, LanceDB.")  # fmt: skip
@opt.json_options
@opt.embedder_options
def search(folder, prompts, mix, modality, top_k, store, export, json_file, overwrite,
           transform_options, model, **loading):  # fmt: skip
    """Find the files of DIR that are nearest to a prompt, or to a mixture of prompts.

    The first call indexes the folder; later calls read only new and changed files. With
    --export the prompts may be left out.

    \b
      bindplug search images/ --audio bird.wav
      bindplug search images/ --audio bird.wav --image fruit.jpg --mix 0.5,0.5
      bindplug search images/ --export vectors/
    """
    from ..embedding.export import FILE as EXPORTED
    from ..embedding.export import check_export, export_index
    from ..embedding.index import index_folder
    from ..embedding.inputs import expand
    from ..embedding.stores import check_store
    from ..embedding.vectors import mixed

    check_store(store)
    if not prompts and export:
        useless = ("mix", "top_k", "store", "json_file")
        opt.refuse_given("without a prompt nothing is searched for", useless)
    else:
        need_prompts(prompts)
    if modality == "text":
        raise BindplugError("--modality text cannot be searched; choose image, audio, video, ...")
    options = read_options(transform_options, {modality, *(m for m, _ in prompts)})
    files = prompt_files(prompts) + expand(modality, folder)
    check_outputs([json_file, export and Path(export) / EXPORTED], files)
    check_json(json_file, overwrite, ())
    if export:
        check_export(export, overwrite)
    embedder = opt.open_embedder(model, **loading)
    parts = [embed_one(embedder, *prompt, options) for prompt in prompts]
    query = mixed(parts, mix) if parts else None
    index = index_folder(
        embedder,
        folder,
        modality,
        progress=True,
        store=store,
        options=options_of(modality, options),
    )
    for error in index.errors:
        say(f"left out: {error}")
    if export:
        path = export_index(index, export, overwrite)
        say(f"{len(index)} x {index.vectors.shape[1]} of {index.space!r} -> {path}")
    if query is None:
        return
    found = index.search(query, top_k)[0]
    if json_file != "-":
        for path, score in found:
            click.echo(f"{score:.4f}  {path}")
    results = [{"file": path, "score": round(score, 6)} for path, score in found]
    metadata = {"schema": 1, "model": model, "query": query.labels[0], "results": results}
    put_json(json_file, metadata, overwrite)
