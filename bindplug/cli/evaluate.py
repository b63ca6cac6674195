from __future__ import annotations

import click

from .common import (
    Failures,
    clear_errors,
    device_option,
    model_option,
    open_embedder,
    options,
    put_json,
    read_options,
    sense_option,
    speed_options,
)

shared = options(
    click.option("--json", "json_file", metavar="FILE|-", help="The figures as JSON."),
    click.option("--overwrite", is_flag=True, help="Replace the JSON file if it exists."),
    sense_option,
    model_option,
    speed_options,
    device_option,
)


@click.group()
def evaluate():
    """Measure naming and retrieval on labelled files, with 95 % intervals."""


@evaluate.command()
@click.argument("data", metavar="DIR|CSV")
@click.option("--sense", default="audio", show_default=True)
@click.option("--labels", metavar="A,B,...|FILE", help="What the classes are called.")
@click.option(
    "--template",
    "templates",
    multiple=True,
    help="Instead of the model's own, or CLIP's 80: \"a {}\".",
)
@click.option("--fold", help="Only this fold of the data.")
@shared
@clear_errors
def classify(data, sense, labels, templates, fold, json_file, overwrite, sense_options, model,
             device, **speed):  # fmt: skip
    """Emergent zero-shot naming (the paper's Table 2): top-1, top-5 and mAP.

    DATA is a folder with one folder a class, or a CSV with the columns filename and category, or
    a folder that holds such a CSV, as ESC-50 does.

    \b
      bindplug evaluate classify ESC-50-master --model imagebind-huge
    """
    from ..evaluation.zero_shot import evaluate_classes

    own = read_options(sense_options, [sense])
    embedder, failures = open_embedder(model, device, **speed), Failures()
    figures, errors = evaluate_classes(
        embedder, data, sense, labels, templates or None, fold, own, progress=True
    )
    _report(figures, errors, failures, json_file, overwrite)


@evaluate.command()
@click.argument("data", metavar="CSV")
@click.option("--query", default="audio", show_default=True, help="Sense of the queries.")
@click.option("--target", default="text", show_default=True, help="Sense of what is found.")
@shared
@clear_errors
def retrieve(data, query, target, json_file, overwrite, sense_options, model, device, **speed):
    """Retrieval between two senses, both ways: R@1, R@5 and R@10.

    DATA is a CSV with one column for each sense; what stands on a line belongs together, and
    equal entries on several lines are one item.

    \b
      bindplug evaluate retrieve pairs.csv --query audio --target text
    """
    from ..evaluation.zero_shot import evaluate_pairs

    own = read_options(sense_options, [query, target])
    embedder, failures = open_embedder(model, device, **speed), Failures()
    figures, errors = evaluate_pairs(embedder, data, query, target, own, progress=True)
    _report(figures, errors, failures, json_file, overwrite)


def _report(figures: dict, errors: list, failures: Failures, json_file, overwrite) -> None:
    failures.add_all(errors)
    if json_file != "-":
        for name, value in figures.items():
            if isinstance(value, dict):
                value = f"{value['value']:.2%}  ({value['low']:.2%} to {value['high']:.2%})"
            click.echo(f"{name:<24} {value}")
    put_json(json_file, figures, overwrite)
    failures.finish()
