"""Detections in any number of images: `index`, `image`, its size and sha256, `objects`, `error`."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..defaults import DETECTOR, EMBEDDER
from ..detection.question import describe_question, negatives_of, read_asked, vocabulary_prompt
from ..errors import BindplugError
from .actor import check_models, enter, error_text
from .inputs import ParquetList, open_inputs, read_items, text_column
from .job import Engine, Report, Work, run_job

ROWS_PER_FILE = 128
FINGERPRINTS = ("embedder", "detector", "masker")  # of what a result is made from


@dataclass(frozen=True)
class Question:
    """What is looked for, in plain values that another process can open; named and explained as
    the options of `bindplug detect`.

    Attributes:
        prompts: (modality, value) pairs; () takes all words of the vocabulary.
        mix: a weight for each, to add them up; () keeps each by itself.
        options: of the prompts' transforms.
    """

    prompts: Sequence[tuple[str, str]] = ()
    mix: Sequence[float] = ()
    options: dict | None = None
    model: str = EMBEDDER
    split: bool = True
    detector: str = DETECTOR[0]
    weights: str = DETECTOR[1]
    masks: str | None = None
    dtype: str = "float32"
    vocabulary: str | None = None
    threshold: float | None = None
    top_k: int = 100
    bridge: str | None = None
    competition: str | None = None
    negative_audio: Sequence[str] = ()
    negative_text: Sequence[str] = ()
    negative_image: Sequence[str] = ()

    def open(self, device: str):
        """A Finder, and what its results are made from (`describe_question`).
        Raises BindplugError: a model that cannot be loaded, a prompt that cannot be read, or
        neither a prompt nor a vocabulary."""
        from ..detection.detector import Finder
        from ..embedding.modalities import embed_one
        from ..embedding.vectors import concatenate, mixed
        from ..models.load import load_beside, open_detector

        split = {} if self.split else {"split": False}
        embedder, options = load_beside(self.model, device, **split), self.options or {}
        detector = open_detector(self.detector, self.weights, self.masks, device, self.dtype)

        def embed_each(given):
            return [embed_one(embedder, *prompt, options) for prompt in given]

        asked = read_asked(vars(self), lambda given: concatenate(embed_each(given)))
        if self.mix:
            prompt = mixed(embed_each(self.prompts), self.mix)
        elif self.prompts:
            prompt = concatenate(embed_each(self.prompts))
        elif self.vocabulary:
            prompt = vocabulary_prompt(embedder, detector, asked.get("vocabulary"))
            asked["competition"] = asked["competition"] or "none"
        else:
            raise BindplugError("give a prompt, or a vocabulary")
        made_from = describe_question(
            embedder, detector, self.prompts, negatives_of(vars(self)), asked, mix=list(self.mix),
            dtype=self.dtype, options=options,
        )  # fmt: skip
        return Finder(detector, prompt, **asked), made_from


class DetectActor:
    """A detector with its question in a process of its own.

    Args:
        expected: fingerprints that its models must have, in the order of FINGERPRINTS.
    """

    def __init__(self, question: Question, expected: list, batch_size: int, device, folder):
        enter(folder)
        self.finder, made_from = question.open(device)
        self.batch_size = batch_size
        check_models(expected, [made_from[name] for name in FINGERPRINTS])

    def __call__(self, inputs):
        return detect_table(self.finder, inputs, self.batch_size)


def detect_table(finder, inputs, batch_size: int):
    """A pyarrow Table of inputs (`inputs.write_inputs`) to one of `index`, `image`, `sha256`,
    `width`, `height` and `objects`, as in the JSON of `bindplug detect`, and `error`."""
    import pyarrow as pa

    from ..storage.hashing import content_hash

    paths, entries, errors = [value for _, value in read_items(inputs)], [], []
    for path, found in finder.stream(paths, batch_size):
        failed = isinstance(found, BindplugError)
        errors.append(error_text(found) if failed else None)
        entries.append({} if failed else replace(found, sha256=content_hash(path)).to_dict())
    columns = {"index": inputs["index"], "image": text_column(paths)}
    for name, kind in entry_types().items():
        columns[name] = pa.array([entry.get(name) for entry in entries], kind)
    return pa.table({**columns, "error": pa.array(errors, pa.string())})


def entry_types() -> dict:
    """The pyarrow type of each member of an image's entry in the JSON."""
    import pyarrow as pa

    box = pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])
    mask = pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.list_(pa.int32()))])
    found = pa.struct([
        ("label", pa.string()), ("query", pa.string()), ("class_id", pa.int64()),
        ("score", pa.float64()), ("box", box), ("mask", mask),
    ])  # fmt: skip
    size = {"width": pa.int32(), "height": pa.int32()}
    return {"sha256": pa.string(), **size, "objects": pa.list_(found)}


def detect(
    images: Iterable[str | os.PathLike] | str | os.PathLike | ParquetList,
    output: str | Path,
    prompts: Sequence[tuple[str, str]] = (),
    *,
    batch_size: int = 1,
    actors: int | None = None,
    device: str = "auto",
    rows_per_file: int = ROWS_PER_FILE,
    overwrite: bool = False,
    progress: bool = False,
    **question,
) -> Report:
    """Find in any number of images what prompts mean; interrupted, the same call continues.

    Args:
        images: paths, or a parquet file with them in a column `path`.
        output: as in `bindplug.ray.embed`. Its columns are `index` (the place among the images),
            `image`, `sha256`, `width`, `height`, `objects` (as in the JSON of `bindplug detect`: a
            list of label, query, class_id, score, box and mask) and `error`.
        prompts: (modality, value) pairs.
        batch_size: images that are encoded together.
        actors, device, progress, rows_per_file: as in `bindplug.ray.embed`.
        question: further members of `Question`: detector, weights, threshold, top_k, ...

    Raises BindplugError: as in `Question.open` and `job.run_job`."""
    from ..detection.results import document_head

    asked = Question(prompts=[tuple(prompt) for prompt in prompts], **question)
    finder, made_from = asked.open("cpu")  # this process only asks it
    expected = [made_from[name] for name in FINGERPRINTS]
    own = {"detector": finder.detector.name, "made_from": made_from}
    settings = {"action": "detect", **document_head({**finder.query.metadata, **own})}
    arguments = {"question": asked, "expected": expected, "batch_size": batch_size}
    work = Work(DetectActor, arguments, "objects", settings, expected, rows_per_file)
    del finder
    items = open_inputs(images, "image")
    return run_job(work, items, output, Engine(actors, device, progress), overwrite)
