"""POST /v1/classify: names for inputs, by labels or by examples."""

import asyncio
from collections.abc import Sequence

from ...embedding.classifier import LinearProbe, classified, parse_labels
from ...embedding.inputs import modality_by_ending
from ...embedding.modalities import MODALITIES
from ...embedding.vectors import concatenate
from ...errors import BindplugError, check_choice
from ..fields import OPTION, RATE, Field, Form, prompt_fields, top_k
from ..question import form_options, limited

LABELS = 2000  # names of all classes
TEMPLATES = 100
FIELDS = [
    *prompt_fields(MODALITIES),
    Field("files", "file", "What to name; its ending says its modality, or `modality` does.",
          many=True),
    Field("modality", "word", "Of `files` and `examples`."),
    Field("labels", "words", "Names: A,B,... or repeated, or a file with one a line.", many=True,
          example="dog,cat,rain"),
    Field("examples", "file", "Examples, in place of labels: files called CLASS/NAME.", many=True),
    Field("template", "word", 'How names are worded, as "a {}".', many=True),
    top_k(None, "How many probabilities of each; by default all."),
    OPTION,
    RATE,
]  # fmt: skip


async def classify(server, form: Form) -> dict:
    """The probabilities of each class, highest first."""
    if form.given("labels") == form.given("examples"):
        raise BindplugError("give either labels or examples")
    if form["modality"] is not None:
        check_choice("modality", form["modality"], MODALITIES)
    prompts = [*form.prompts, *((_modality(form, f.name), f) for f in form["files"])]
    if not prompts:
        raise BindplugError("give inputs to classify: files, audio, image, ...")
    shots = [(_modality(form, f.name), f) for f in form["examples"]]
    options = form_options(form, {m for m, _ in prompts + shots})
    engine = server.engine()
    if form.given("labels"):
        templates = limited(form["template"], TEMPLATES, "template")
        classifier = await engine.classifier(_labels(form["labels"]), templates)
    else:
        classes = [file.folder for file in form["examples"]]
        if not all(classes):
            raise BindplugError("examples: name each file CLASS/NAME, such as dog/1.wav")
        seen = concatenate(await engine.embed(shots, options, form["rate"]))
        classifier = await engine.run(LinearProbe, seen, classes)
    parts = await engine.embed(prompts, options, form["rate"])

    def work() -> dict:
        found = [row for part in parts for row in classified(classifier, part)]
        for row in found if form["top_k"] else ():
            row["probabilities"] = dict(list(row["probabilities"].items())[: form["top_k"]])
        return {"schema": 1, "model": engine.models.model, "files": found}

    return await asyncio.to_thread(work)


def _modality(form: Form, name: str) -> str:
    return form["modality"] or modality_by_ending(name)


def _labels(given: Sequence[str]) -> dict[str, list[str]]:
    labels = parse_labels(given[0].split(",") if len(given) == 1 else given)
    limited([name for names in labels.values() for name in names], LABELS, "labels")
    return labels
