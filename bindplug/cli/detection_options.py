"""Options of detection that detect and evaluate share, and how they are read."""

import click

from ..defaults import DETECTOR
from ..detection.question import NEGATIVES, read_asked
from . import options as opt
from .output import Failures
from .prompts import embed_prompts

detection_options = opt.options(  # values as `open_question` takes them
    opt.model_option,
    click.option("--detector", default=DETECTOR[0], show_default=True),
    click.option("--weights", default=DETECTOR[1], show_default=True,
                 help="Checkpoint: a name, or local:PATH."),
    click.option("--masks", metavar="PLUGIN/NAME",
                 help="What segments the boxes; `bindplug models` lists the names."),
    click.option("--bridge", help="identity, vocabulary, linear, words or crops; by default the "
                 "detector's choice."),
    click.option("--competition", "--contrast", help="What a prompt competes with: words, prompts "
                 "or none; by default words where the prompt crosses a bridge."),
    click.option("--vocabulary", cls=opt.Once, help="Words of the bridge and the competition: "
                 "default, sounding, lvis, imagenet-1k, imagenet-21k, or a file of lines."),
    *(click.option(f"--negative-{name}", multiple=True,
                   metavar="TEXT" if name == "text" else "FILE",
                   help="Remove what fits this better. May be repeated.") for name in NEGATIVES),
    click.option("--threshold", "--conf", type=click.FloatRange(0, 1), callback=opt.finite,
                 help="Lowest score; by default the weights' own."),
    opt.top_k_option(100),
    opt.dtype_option,
    opt.device_option,
)  # fmt: skip


def open_question(failures: Failures, options: dict, model, split, detector, weights, masks, dtype,
                  device, **question):  # fmt: skip
    """The detector, the embedder and what `PromptedDetector.detect` takes beside a prompt, by the
    values of `detection_options`.

    Args:
        options: transform options of the negative prompts.
    """
    from ..models.load import load_beside, open_detector

    embedder = load_beside(model, device, **opt.embedder_settings(model, split))
    finder = open_detector(detector, weights, masks, device, dtype)
    asked = read_asked(question, lambda given: embed_prompts(embedder, failures, given, options))
    return finder, embedder, asked
