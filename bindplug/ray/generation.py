"""Images generated from any number of prompts: `index`, `label`, `seed`, `image`, `recipe`,
`error`."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..defaults import EMBEDDER, GENERATOR
from ..errors import BindplugError
from ..generation.recipe import Recipe, make_recipes
from .actor import check_models, enter, error_text
from .inputs import ParquetList, open_inputs, read_items, text_column
from .job import Engine, Report, Work, run_job

ROWS_PER_FILE = 32
FINGERPRINTS = ("embedder_fingerprint", "generator_fingerprint")


@dataclass(frozen=True)
class Repeated:
    """Each item `times` times over, for as many images of it."""

    items: Iterable[tuple[str, str]]
    times: int

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (item for item in self.items for _ in range(self.times))


class GenerateActor:
    """An embedder and a generator in a process of their own.

    Args:
        session: for `GenerationSession`.
        recipe: of all images but for their prompts and, from its own on, their seeds.
        num_images: of each prompt.
        expected: fingerprints that its models must have, in the order of FINGERPRINTS.
    """

    def __init__(
        self, session: dict, recipe: Recipe, num_images: int, expected: list, device, folder
    ):
        from ..generation.session import GenerationSession

        enter(folder)
        self.session = GenerationSession(device=device, **session)
        self.recipe, self.num_images = recipe, num_images
        check_models(expected, [self.session.used[name] for name in FINGERPRINTS])

    def __call__(self, inputs):
        return generate_table(self.session, self.recipe, self.num_images, inputs)


def generate_table(session, recipe: Recipe, num_images: int, inputs):
    """A pyarrow Table of inputs (`inputs.write_inputs`) to one of `index`, `modality`, `label`,
    `seed`, `image` (bytes of a PNG with its recipe inside), `recipe` (JSON) and `error`."""
    import pyarrow as pa

    from ..generation.recipe import encode_image

    items, rows = read_items(inputs), []
    indices = inputs["index"].to_pylist()
    for index, item in zip(indices, items, strict=True):
        seed = recipe.seed + index % num_images
        image = text = error = None
        try:
            own = replace(recipe, prompts=(item,), seed=seed)
            [(made, used)] = session.generate(own)
            image, metadata = encode_image(made, used.renamed(os.path.abspath))
            text = json.dumps(metadata)
        except BindplugError as err:
            error = error_text(err)
        rows.append((seed, image, text, error))
    seeds, images, texts, errors = zip(*rows, strict=True)
    columns = {
        "index": inputs["index"], "modality": inputs["modality"],
        "label": text_column(value for _, value in items), "seed": pa.array(seeds, pa.int64()),
        "image": pa.array(images, pa.binary()), "recipe": pa.array(texts, pa.string()),
        "error": pa.array(errors, pa.string()),
    }  # fmt: skip
    return pa.table(columns)


def generate(
    prompts: Iterable[tuple[str, str]] | str | os.PathLike | ParquetList,
    output: str | Path,
    model: str = EMBEDDER,
    generator: str = GENERATOR[0],
    weights: str = GENERATOR[1],
    *,
    num_images: int = 1,
    dtype: str | None = None,
    offload: bool = False,
    bank: str | None = None,
    split: bool = True,
    actors: int | None = None,
    device: str = "auto",
    rows_per_file: int = ROWS_PER_FILE,
    overwrite: bool = False,
    progress: bool = False,
    **recipe,
) -> Report:
    """Generate images of any number of prompts; interrupted, the same call continues.

    Args:
        prompts: (modality, value) pairs, or a parquet file as in `bindplug.ray.embed`.
        output: as in `bindplug.ray.embed`. Its columns are `index`, `modality`, `label`, `seed`,
            `image` (a PNG's bytes, with the recipe inside), `recipe` (JSON) and `error`; the images
            of one prompt follow each other.
        num_images: of each prompt, with the seeds seed, seed + 1, ...
        dtype, offload, bank: as in `GenerationSession`; split: of `load_embedder`.
        actors, device, progress, rows_per_file: as in `bindplug.ray.embed`.
        recipe: `options` and `keep_loudness`, as in `make_recipes`, and fields of `Recipe`: seed,
            steps, ...; not `mix` and `together`, since each prompt has its own images.

    Raises BindplugError: a model that cannot be loaded, a setting out of range, or as in
    `job.run_job`."""
    from ..generation.session import GenerationSession
    from ..generation.settings import whole_number

    num_images = whole_number("num_images", num_images, 1)
    if recipe.get("mix") or recipe.get("together"):
        raise BindplugError("each prompt has its own images here; leave out mix and together")
    items = open_inputs(prompts)
    first = next(iter(items), None)
    if first is None:
        raise BindplugError("no input to work on")
    [common] = make_recipes([first], **recipe)
    session = {
        "embedder": model, "generator": generator, "weights": weights, "dtype": dtype,
        "offload": offload, "bank": bank, "embedder_settings": {} if split else {"split": False},
    }  # fmt: skip
    used = GenerationSession(device="cpu", **session).used  # this process only asks it
    expected = [used[name] for name in FINGERPRINTS]
    template = replace(common, prompts=(("text", ""),)).hashed()  # what all recipes have in common
    settings = {
        **asdict(template), "action": "generate", "num_images": num_images, "model": model,
        "generator": generator, "weights": weights, "bank": bank, "dtype": dtype, "device": device,
        "space": used["space"],
    }  # fmt: skip
    for name in ("prompts", "offload", *FINGERPRINTS):
        del settings[name]
    arguments = {
        "session": session, "recipe": template, "num_images": num_images, "expected": expected,
    }  # fmt: skip
    work = Work(GenerateActor, arguments, "image", settings, expected, rows_per_file)
    engine = Engine(actors, device, progress)
    return run_job(work, Repeated(items, num_images), output, engine, overwrite)
