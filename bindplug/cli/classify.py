from __future__ import annotations

import click

from ..errors import BindplugError
from .common import (
    Failures,
    clear_errors,
    device_option,
    model_option,
    open_embedder,
    put_json,
    read_options,
    sense_option,
    speed_options,
)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--labels", metavar="A,B,...|FILE", help="Names, or a file with one a line.")
@click.option("--examples", metavar="DIR", help="A folder with one folder of examples a class.")
@click.option("--sense", help="Of the files; by default their endings say it.")
@click.option(
    "--template",
    "templates",
    multiple=True,
    help="Instead of the model's own, or CLIP's 80: \"a {}\".",
)
@click.option("--top-k", default=3, show_default=True, type=click.IntRange(1))
@click.option("--json", "json_file", metavar="FILE|-", help="All probabilities as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace the JSON file if it exists.")
@sense_option
@model_option
@speed_options
@device_option
@clear_errors
def classify(files, labels, examples, sense, templates, top_k, json_file, overwrite,
             sense_options, model, device, **speed):  # fmt: skip
    """Name each FILE: by labels (zero-shot), or by a few examples (a linear probe).

    \b
      bindplug classify --labels dog,cat,rain *.wav
      bindplug classify --examples sounds/ new.wav
    """
    from ..bulk import expand, sense_by_name
    from ..classifier import LinearProbe, ZeroShot, read_labels
    from ..evaluation.datasets import read_classified
    from ..evaluation.zero_shot import embed_good

    if (labels is None) == (examples is None):
        raise BindplugError("give either --labels or --examples")
    sense = sense or (sense_by_name(files[0]) if files else "audio")
    options = read_options(sense_options, [sense])
    inputs = [path for file in files for path in expand(sense, file)]
    names = None if labels is None else read_labels(labels)
    embedder, failures = open_embedder(model, device, **speed), Failures()
    if names is not None:
        classifier = ZeroShot(embedder, names, templates or None)
    else:
        shots = read_classified(examples, sense)
        seen, good, errors = embed_good(embedder, sense, [i.path for i in shots], options)
        failures.add_all(errors)
        classifier = LinearProbe(seen, [shots[i].labels[0] for i in good])
    embedding, _, errors = embed_good(embedder, sense, inputs, options)
    failures.add_all(errors)
    found = []
    for file, p in zip(embedding.labels, classifier.probabilities(embedding), strict=True):
        ranked = [(classifier.labels[i], float(p[i])) for i in (-p).argsort(kind="stable")]
        found.append({"file": file, "probabilities": dict(ranked)})
        if json_file != "-":
            click.echo(f"{file}  " + ", ".join(f"{name} {v:.2f}" for name, v in ranked[:top_k]))
    put_json(json_file, {"schema": 1, "model": model, "files": found}, overwrite)
    failures.finish()
