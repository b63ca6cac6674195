from pathlib import Path

import click

from ..embedding.modalities import embed_one
from ..embedding.options import read_options
from ..errors import BindplugError
from .options import Once, embedder_options, embedder_settings, modality_option, open_embedder
from .output import Failures, check_outputs, put_json, say
from .prompts import need_prompts, prompt_files, prompt_options
from .ray_engine import engine_options, on_ray, parquet_list, show_progress, tell


def _shard(ctx, param, value: str) -> tuple[int, int]:
    i, _, n = value.partition("/")
    if not (i.isdecimal() and n.isdecimal() and int(i) < int(n)):
        words = f"{value!r}: give I/N with I from 0 to N - 1, as 0/2"
        raise click.BadParameter(words, ctx, param)
    return int(i), int(n)


@click.command()
@prompt_options
@click.option("--list", "listed", cls=Once, metavar="FILE|-",
              help="Inputs, one per line: a path, or JSON; with --engine ray also a .parquet with "
              "a column `path`.")  # fmt: skip
@modality_option("Modality of the plain paths in --list; by default from their extensions.")
@click.option("-o", "--output", metavar="FILE",
              help="x.safetensors, x.npy or x.parquet; without it, JSON to stdout.")  # fmt: skip
@click.option("--shard", callback=_shard, default="0/1", show_default=True, metavar="I/N",
              help="Embed only share I of N of the inputs; I starts at 0.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@embedder_options
@engine_options
def embed(prompts, listed, modality, output, shard, overwrite, transform_options, engine, actors,
          **loading):  # fmt: skip
    """Write embeddings, one unit vector for each input, in the order given.

    A folder or a pattern stands for its files. After an interruption, the same command continues.

    \b
      bindplug embed --audio dog.wav --text "a dog" -o both.npy
      bindplug embed --audio sounds/ -o sounds.safetensors
      find . -name '*.flac' | bindplug embed --list - -o x.parquet --shard 0/4
      bindplug embed --engine ray --audio sounds/ -o vectors.parquet
    """
    if on_ray(engine, {"shard", "cache"}):
        return _on_ray(prompts, listed, modality, output, overwrite, transform_options, actors,
                       **loading)  # fmt: skip
    from ..embedding.jobs import embed_files, part_size, shard_of
    from ..storage.vector_file import check_format

    path = None if output is None else Path(output)
    if path is not None:
        check_format(path)
    items = _expanded(prompts, listed, modality)
    options = read_options(transform_options, {s for s, _ in items})
    check_outputs([path], [*prompt_files(items), listed, loading["cache"]])
    embedder, failures = open_embedder(**loading), Failures()
    items = shard_of(items, shard, part_size(embedder))
    if path is None:
        _to_stdout(embedder, items, options, failures)
    else:
        report = embed_files(embedder, items, path, options, overwrite, progress=True)
        failures.add(*report.errors)
        done = " was there already" if report.was_done else ""
        say(f"{report.rows} x {report.width} of {embedder.space!r} -> {path}{done}")
    failures.finish()


def _on_ray(prompts, listed, modality, output, overwrite, transform_options, actors, model, device,
            **loading) -> None:  # fmt: skip
    from .. import ray

    if output is None:
        raise BindplugError("--engine ray needs -o: a folder for parquet files, or x.lance")
    whole = parquet_list(listed, modality)
    if whole and prompts:
        raise BindplugError(f"--list {listed}: takes no other inputs beside it; leave them out")
    items = whole or _expanded(prompts, listed, modality)
    options = read_options(transform_options, {s for s, _ in items})
    check_outputs([output], [listed] if whole else [*prompt_files(items), listed])
    settings = embedder_settings(model, **loading)
    report = ray.embed(
        items, output, model, options=options, actors=actors, device=device, overwrite=overwrite,
        progress=show_progress(), **settings,
    )  # fmt: skip
    tell(report, output)


def _expanded(prompts, listed: str | None, modality: str | None) -> list[tuple[str, str]]:
    """All inputs that the options name, at least one."""
    from ..embedding.inputs import expand

    items = [(s, v) for s, value in prompts for v in expand(s, value)]
    items += _read(listed, modality)
    need_prompts(items)
    return items


def _read(listed: str | None, modality: str | None) -> list[tuple[str, str]]:
    from ..embedding.inputs import read_list
    from ..storage.text_file import read_text

    if listed is None:
        return []
    try:
        stdin = click.get_text_stream("stdin", encoding="utf-8-sig")
        text = stdin.read() if listed == "-" else read_text(listed)
    except UnicodeDecodeError as err:
        raise BindplugError("the list on standard input is not UTF-8") from err
    return read_list(text.split("\n"), modality)


def _to_stdout(embedder, items, options, failures: Failures) -> None:
    labels, rows = [], []
    for item in items:
        found = failures.guard(embed_one, embedder, *item, options)
        if found is not None:
            labels += found.labels
            rows += [[round(float(v), 6) for v in row] for row in found.vectors]
    if rows:
        put_json("-", {"space": embedder.space, "labels": labels, "vectors": rows})
