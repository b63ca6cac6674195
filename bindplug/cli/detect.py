from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from .common import (
    FLAGS,
    Failures,
    PromptCommand,
    clear_errors,
    device_option,
    embed_prompts,
    mix_prompts,
    model_option,
    need_prompts,
    output_options,
    prompts_of,
    put_json,
    say,
    unique_stems,
)


@click.command(cls=PromptCommand)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@prompts_of([s for s in FLAGS if s != "video"])
@model_option
@click.option("--detector", default="detic", show_default=True)
@click.option(
    "--weights",
    default="tiny",
    show_default=True,
    help="A name, or local:PATH. Numbers mix the prompts into one, a weight for each.",
)
@click.option("--bridge", help="identity, vocabulary or linear; by default the detector's choice.")
@click.option(
    "--threshold",
    "--conf",
    type=click.FloatRange(0, 1),
    help="Least score; by default the weights' own.",
)
@click.option("--top-k", default=100, show_default=True, type=click.IntRange(1))
@click.option("--json", "json_file", metavar="FILE|-", help="Objects as JSON.")
@click.option("--coco", metavar="FILE|-", help="Objects as COCO results.")
@click.option("--overlay/--no-overlay", default=True, help="Write a picture for each image.")
@output_options
@device_option
@clear_errors
def detect(images, prompts, mix, model, detector, weights, bridge, threshold, top_k,
           json_file, coco, overlay, output, overwrite, device):  # fmt: skip
    """Find in each IMAGE what a sound, text or picture means.

    \b
      bindplug detect --audio dog.wav image.jpg
      bindplug detect --audio dog.wav --audio train.wav --json - *.jpg
      bindplug detect --audio dog.wav --text "on grass" --weights 0.7 0.3 image.jpg
    """
    from ..plugins import load_detector, load_embedder
    from ..results import coco_results, document, make_folder, refuse_existing

    need_prompts(prompts)
    failures = Failures()
    stems = unique_stems(images)
    if overlay:
        folder = make_folder(output)
        for stem in stems:
            refuse_existing([folder / f"{stem}.png", folder / f"{stem}.json"], overwrite)
    for target in (json_file, coco):
        if target not in (None, "-"):
            refuse_existing([Path(target)], overwrite)
    embedder = load_embedder(model, device)
    finder = load_detector(detector, weights, device)
    if mix:
        prompt = mix_prompts(embedder, prompts, mix)
    else:
        prompt = embed_prompts(embedder, failures, prompts)
    results = []
    for path, stem in zip(images, stems, strict=True):
        found = failures.guard(
            finder.detect, path, prompt, threshold=threshold, top_k=top_k, bridge=bridge
        )
        if found is None:
            continue
        line = f"{path}  {len(found)} object{'s' * (len(found) != 1)}"
        if len(found):
            line += f"  best {found.labels[0]} {found.scores[0]:.2f}"
        if overlay:
            written = replace(found, image=stem).save(output, overwrite)
            line += f"  -> {written[0]}"
        say(line)
        results.append(replace(found, picture=None))
    if results and not results[0].about["bridge"].startswith("identity"):
        say(f"bridge: {results[0].about['bridge']}")
    put_json(json_file, document(results), overwrite)
    put_json(coco, coco_results(results), overwrite)
    failures.finish()
