from contextlib import suppress

import click

from ..embedding.options import read_options
from ..errors import BindplugError
from . import options as opt
from .output import Failures, check_json, put_json


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--labels", cls=opt.Once, metavar="A,B,...|FILE", help="Names, or a file with one per line."
)
@click.option(
    "--examples", cls=opt.Once, metavar="DIR", help="A folder with a folder of examples per class."
)
@opt.modality_option("Modality of the files; by default from their extensions.")
@opt.template_option
@opt.top_k_option(3)
@opt.json_options
@opt.embedder_options
def classify(files, labels, examples, modality, templates, top_k, json_file, overwrite,
             transform_options, model, **loading):  # fmt: skip
    """Classify each FILE: by labels (zero-shot), or by a few examples (a linear probe).

    \b
      bindplug classify --labels dog,cat,rain *.wav
      bindplug classify --examples sounds/ new.wav
    """
    from ..embedding.classifier import LinearProbe, ZeroShot, classified, read_labels
    from ..embedding.inputs import expand
    from ..evaluation.datasets import read_classified
    from ..evaluation.zero_shot import embed_good

    if (labels is None) == (examples is None):
        raise BindplugError("give either --labels or --examples")
    modality = modality or _one_modality(files)
    options = read_options(transform_options, [modality])
    inputs = [path for file in files for path in expand(modality, file)]
    names = None if labels is None else read_labels(labels)
    shots = [] if examples is None else read_classified(examples, modality)
    check_json(json_file, overwrite, [*inputs, labels, *(shot.path for shot in shots)])
    embedder, failures = opt.open_embedder(model, **loading), Failures()
    if names is not None:
        classifier = ZeroShot(embedder, names, templates or None)
    else:
        seen, good, errors = embed_good(embedder, modality, [s.path for s in shots], options)
        failures.add(*errors)
        classifier = LinearProbe(seen, [shots[i].labels[0] for i in good])
    embedding, _, errors = embed_good(embedder, modality, inputs, options)
    failures.add(*errors)
    found = classified(classifier, embedding)
    for row in found if json_file != "-" else ():
        best = list(row["probabilities"].items())[:top_k]
        click.echo(f"{row['file']}  " + ", ".join(f"{name} {v:.2f}" for name, v in best))
    put_json(json_file, {"schema": 1, "model": model, "files": found}, overwrite)
    failures.finish()


def _one_modality(files) -> str:
    """What the endings of files say, of folders nothing.
    Raises BindplugError: no ending that says anything, or files of two modalities."""
    from ..embedding.inputs import modality_by_ending

    said: dict[str, str] = {}
    for file in files:
        with suppress(BindplugError):
            said.setdefault(modality_by_ending(file), file)
    if len(said) > 1:
        given = ", ".join(f"{file} is {modality}" for modality, file in said.items())
        raise BindplugError(f"{given}; give files of one modality per call, or --modality")
    return next(iter(said), None) or modality_by_ending(files[0])
