from __future__ import annotations

import click

from .options import (
    device_option,
    json_options,
    model_option,
    open_embedder,
    options,
    read_options,
    template_option,
    transform_option,
)
from .output import put_json, say
from .prompts import embed_prompt, need_prompts, prompt_options

to_option = click.option(
    "--to",
    "target",
    default="tiny-clip",
    show_default=True,
    help="Embedder of the target model's space.",
)
vocabulary_option = click.option(
    "--vocabulary",
    help="default, sounding, imagenet-1k, imagenet-21k, or a file of lines.",
)

fit_options = options(
    model_option,
    to_option,
    click.option("--kind", default="vocabulary", show_default=True, help="vocabulary or linear."),
    vocabulary_option,
    template_option,
    device_option,
)


@click.group()
def bridge():
    """Build bridges between embedding spaces, and explain embeddings in words."""


@bridge.command()
@fit_options
def build(model, target, kind, vocabulary, templates, device):
    """Encode a vocabulary on both sides, so that crossing later takes no time.

    Interrupted, the same command goes on.

    \b
      bindplug bridge build --model imagebind-huge --to openai-clip-vit-b-32 --template "a {}"
    """
    sides = _load(model, target, device)
    say(str(_fit(sides, kind, vocabulary or "default", templates)))


@bridge.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_command(as_json):
    """The word lists that are encoded already, and for which spaces."""
    from ..bridge.text_cache import kept

    rows = kept()
    if as_json:
        put_json("-", rows, False)
        return
    for row in rows:
        click.echo(f"{row['space']:<28} {row['texts']:>6} texts  {', '.join(row['first'])}, ...")


@bridge.command()
@fit_options
def show(model, target, kind, vocabulary, templates, device):
    """How well a bridge carries its own words: the share that stay nearest to themselves."""
    import numpy as np

    from ..bridge import word_vectors
    from ..embedding.vectors import Embedding, unit

    sides = _load(model, target, device)
    fitted = _fit(sides, kind, vocabulary or "default", templates)
    names = fitted.words
    vectors = word_vectors(sides[0], names)
    there = unit(fitted(Embedding(vectors, fitted.source, "text", names)).vectors)
    goal = fitted.to_words if hasattr(fitted, "to_words") else word_vectors(sides[1], names)
    right = (there @ goal.T).argmax(axis=1) == np.arange(len(names))
    click.echo(f"{fitted}: {right.mean():.1%} of its words stay nearest to themselves")


@bridge.command()
@prompt_options
@model_option
@to_option
@vocabulary_option
@click.option("--top-k", default=5, show_default=True, type=click.IntRange(1))
@json_options
@transform_option
@device_option
def explain(prompts, model, target, vocabulary, top_k, json_file, overwrite, transform_options,
            device):  # fmt: skip
    """Print the words of a vocabulary that each prompt is nearest to, with their probabilities.

    \b
      bindplug bridge explain --audio dog.wav
    """
    need_prompts(prompts)
    own = read_options(transform_options, {m for m, _ in prompts})
    sides, rows = _load(model, target, device), []
    for kind, value in prompts:
        words = vocabulary or ("sounding" if kind == "audio" else "default")
        fitted = _fit(sides, "vocabulary", words, ())
        heard = fitted.explain(embed_prompt(sides[0], (kind, value), own), top=top_k)[0]
        rows.append({"prompt": value, "words": dict(heard)})
        if json_file != "-":
            click.echo(f"{value}  " + ", ".join(f"{p:.2f} {word}" for word, p in heard))
    put_json(json_file, rows, overwrite)


def _load(model, target, device):
    """The embedders on both sides."""
    from ..models.load import load_embedder

    return open_embedder(model, device), load_embedder(target, device)


def _fit(sides, kind, vocabulary, templates):
    from ..bridge import TEMPLATES, fit_bridge
    from ..bridge.vocabulary import read_vocabulary

    words = read_vocabulary(vocabulary)
    return fit_bridge(kind, *sides, words, templates or TEMPLATES, progress=True)
