import click

from ..defaults import JUDGE
from ..embedding.modalities import embed_one
from ..embedding.options import read_options
from . import options as opt
from .output import check_json, put_json, say
from .prompts import need_prompts, prompt_files, prompt_options

side_options = opt.options(
    opt.model_option,
    click.option("--to", "target", default=JUDGE, show_default=True,
                 help="Embedder of the target model's space."),
    click.option("--vocabulary", cls=opt.Once,
                 help="default, sounding, lvis, imagenet-1k, imagenet-21k, or a file of lines."),
    opt.device_option,
)  # fmt: skip
fit_options = opt.options(
    side_options,
    click.option("--kind", default="vocabulary", show_default=True, help="vocabulary or linear."),
    opt.template_option,
)


@click.group()
def bridge():
    """Build bridges between embedding spaces, and explain embeddings in words."""


@bridge.command()
@fit_options
def build(target, kind, vocabulary, templates, **loading):
    """Encode a vocabulary in both spaces, so that later crossings need not wait for it.

    After an interruption, the same command continues.

    \b
      bindplug bridge build --model imagebind-huge --to openai-clip-vit-b-32 --template "a {}"
    """
    say(str(_fit(_load(target, **loading), kind, vocabulary, templates)))


@bridge.command("list")
@opt.json_flag
def list_command(as_json):
    """List the word lists that are already encoded, and their spaces."""
    from ..bridge.text_cache import kept

    rows = kept()
    if as_json:
        return put_json("-", rows)
    for row in rows:
        click.echo(f"{row['space']:<28} {row['texts']:>6} texts  {', '.join(row['first'])}, ...")


@bridge.command()
@fit_options
def show(target, kind, vocabulary, templates, **loading):
    """Show how well a bridge carries its own words: the share that stay nearest to themselves."""
    import numpy as np

    from ..bridge import word_vectors
    from ..embedding.vectors import Embedding, unit

    sides = _load(target, **loading)
    fitted = _fit(sides, kind, vocabulary, templates)
    names = fitted.words
    vectors = word_vectors(sides[0], names)
    there = unit(fitted(Embedding(vectors, fitted.source, "text", names)).vectors)
    goal = fitted.to_words if hasattr(fitted, "to_words") else word_vectors(sides[1], names)
    right = (there @ goal.T).argmax(axis=1) == np.arange(len(names))
    click.echo(f"{fitted}: {right.mean():.1%} of its words stay nearest to themselves")


@bridge.command()
@prompt_options
@side_options
@opt.top_k_option(5)
@opt.json_options
@opt.transform_option
def explain(prompts, target, vocabulary, top_k, json_file, overwrite, transform_options, **loading):
    """Print the words of a vocabulary that each prompt is nearest to, with their probabilities.

    \b
      bindplug bridge explain --audio dog.wav
    """
    need_prompts(prompts)
    own = read_options(transform_options, {m for m, _ in prompts})
    check_json(json_file, overwrite, [*prompt_files(prompts), vocabulary])
    sides, rows = _load(target, **loading), []
    for kind, value in prompts:
        words = vocabulary or ("sounding" if kind == "audio" else None)
        fitted = _fit(sides, "vocabulary", words)
        heard = fitted.explain(embed_one(sides[0], kind, value, own), top=top_k)[0]
        rows.append({"prompt": value, "words": dict(heard)})
        if json_file != "-":
            click.echo(f"{value}  " + ", ".join(f"{p:.2f} {word}" for word, p in heard))
    put_json(json_file, rows, overwrite)


def _load(target: str, model: str, device: str, **settings):
    """The embedders on both sides."""
    from ..models.load import load_beside

    own = load_beside(model, device, **opt.embedder_settings(model, **settings))
    return own, load_beside(target, device)


def _fit(sides, kind, vocabulary, templates=()):
    from ..bridge import TEMPLATES, fit_bridge
    from ..bridge.vocabulary import read_vocabulary

    words = read_vocabulary(vocabulary or "default")
    return fit_bridge(kind, *sides, words, templates or TEMPLATES, progress=True)
