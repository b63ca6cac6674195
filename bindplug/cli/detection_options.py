"""What detection is asked, and of whom: options that detect and evaluate share."""

from __future__ import annotations

import click

from ..errors import BindplugError
from .options import options
from .output import Failures
from .prompts import embed_prompts

question_options = options(
    click.option("--detector", default="detic", show_default=True),
    click.option(
        "--weights",
        default="tiny",
        show_default=True,
        help="A name, or local:PATH. Numbers mix the prompts into one, a weight for each.",
    ),
    click.option("--masks", metavar="PLUGIN/NAME", help="Who makes the masks, as sam/sam2.1-tiny."),
    click.option(
        "--bridge",
        help="identity, vocabulary, linear, words or crops; by default the detector's choice.",
    ),
    click.option(
        "--contrast",
        help="What a prompt stands against: words, prompts or none; by default words where a "
        "bridge is crossed.",
    ),
    click.option(
        "--vocabulary", help="default, sounding, lvis, imagenet-1k, imagenet-21k, or a file."
    ),
    click.option("--negative-audio", multiple=True, metavar="FILE", help="Not this."),
    click.option("--negative-text", multiple=True, metavar="TEXT", help="Not this."),
    click.option("--negative-image", multiple=True, metavar="FILE", help="Not this."),
    click.option(
        "--threshold",
        "--conf",
        type=click.FloatRange(0, 1),
        help="Least score; by default the weights' own.",
    ),
    click.option("--top-k", default=100, show_default=True, type=click.IntRange(1)),
    click.option(
        "--dtype", default="float32", show_default=True, help="float32, bfloat16 or float16."
    ),
)


def open_detector(detector, weights, masks, dtype, device):
    """The detector that the options name, with its masker; a dtype that nobody gave is left to
    the plugin."""
    from ..models.load import load_detector, load_masker

    settings = {} if dtype == "float32" else {"dtype": dtype}
    found = load_detector(detector, weights, device, **settings)
    if masks:
        plugin, given, name = masks.partition("/")
        if not given:
            raise BindplugError(f"--masks {masks}: give PLUGIN/NAME, as sam/sam2.1-tiny")
        found.masker = load_masker(plugin, name, device)
    return found


def read_question(
    embedder, failures: Failures, bridge, contrast, vocabulary, negative_audio, negative_text,
    negative_image, threshold, top_k,
) -> dict:  # fmt: skip
    """The options as `PromptedDetector.detect` takes them."""
    asked = {"threshold": threshold, "top_k": top_k, "bridge": bridge, "competition": contrast}
    negatives = [
        *(("audio", value) for value in negative_audio),
        *(("text", value) for value in negative_text),
        *(("image", value) for value in negative_image),
    ]
    if negatives:
        asked["negative"] = embed_prompts(embedder, failures, negatives)
    if vocabulary:
        from ..bridge.vocabulary import read_vocabulary

        asked["vocabulary"] = read_vocabulary(vocabulary)
    return asked
