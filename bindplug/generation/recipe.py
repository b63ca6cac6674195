"""What a generated image was made from, kept in its PNG so that it can be made again."""

from __future__ import annotations

import io
import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..embedding.inputs import caption, sum_caption
from ..embedding.modalities import MODALITIES
from ..errors import BindplugError, check_choice
from ..storage.hashing import hash_file
from .settings import MAX_SEED, GenerationSettings, ImageSettings, whole_number

KEY = "bindplug:job"  # of the PNG's iTXt chunk
FILES = ("negative_audio", "init_image", "bank")  # fields with a path, beside the prompts
MODELS = ("model", "weights")  # fields that may be "local:PATH"
KINDS_OF_PATHS = ("local", "onnx")  # of models, before a colon
TYPES = {  # of fields, as annotated
    "str": (str, "string"),
    "str | None": ((str, os.PathLike, type(None)), "string or None"),
    "dict": (dict, "dictionary"),
}


@dataclass(frozen=True)
class Recipe(ImageSettings):
    """Everything that decides an image; from `model` on filled in by the session that generated it.

    Attributes:
        prompts: (modality, path or text) pairs, which are composed into one embedding.
        mix: a weight for each of `parts`; () gives equal ones.
        together: mix the audio prompts' waveforms, in place of adding their embeddings.
        window, normalize: as in `embed_audio_prompt`, for every audio prompt.
        options: of the prompts' transforms, as in `Embedder.embed`; each goes to the modalities
            that have it.
        negative_audio, init_image: paths of a sound that the image is steered away from, and of
            the image that it is started from.
        candidates: images generated, of which the nearest to the prompt is kept; None is the
            generator's own number.
        seed: of the image, 0 to 2**63.
        model, generator, weights, bank, offload: what `load_embedder` and `load_generator` were
            given; "" for models that were passed as objects.
        space: the embedder's.
        device, dtype: that were used.
        embedder_fingerprint, generator_fingerprint: of the models, "" where unknown.
        sha256: of each file, by its path.

    Raises BindplugError: prompts that are no (modality, string) pairs, weights or a `together` that
    do not fit them, or as in `ImageSettings`."""

    prompts: tuple[tuple[str, str], ...]
    mix: tuple[float, ...] = ()
    together: bool = False
    window: str = "mean"
    normalize: str = "peak"
    options: dict = field(default_factory=dict)
    negative_audio: str | None = None
    init_image: str | None = None
    candidates: int | None = None
    seed: int = 0
    model: str = ""
    generator: str = ""
    weights: str = ""
    bank: str | None = None
    offload: bool = False
    space: str = ""
    device: str | None = None
    dtype: str | None = None
    embedder_fingerprint: str = ""
    generator_fingerprint: str = ""
    sha256: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        super().__post_init__()
        try:
            prompts = tuple((modality, os.fspath(value)) for modality, value in self.prompts)
            mix = tuple(float(weight) for weight in self.mix or ())
        except (TypeError, ValueError) as err:
            raise BindplugError(
                "prompts must be (modality, path or text) pairs, and mix numbers"
            ) from err
        for modality, _ in prompts:
            check_choice("modality", modality, MODALITIES)
        for f in fields(self):
            types, what = TYPES.get(f.type, (object, ""))
            if not isinstance(value := getattr(self, f.name), types):
                raise BindplugError(f"{f.name} {value!r}; give a {what}")
        if not prompts:
            raise BindplugError("a recipe needs a prompt")
        seed = whole_number("seed", self.seed, 0, MAX_SEED)
        for name, value in (("prompts", prompts), ("mix", mix), ("seed", seed)):
            object.__setattr__(self, name, value)
        if self.candidates is not None:
            whole_number("candidates", self.candidates, 1)
        if self.together and sum(modality == "audio" for modality, _ in prompts) < 2:
            raise BindplugError("together: give two sounds or more to mix")
        if self.together and "channel" in self.options:
            raise BindplugError("together: sounds are mixed to mono; leave out the option channel")
        if mix and len(mix) != len(self.parts):
            count = len(self.parts)
            raise BindplugError(f"{len(mix)} weights for {count} prompts; give one for each")

    @property
    def parts(self) -> list[list[tuple[str, str]]]:
        """What is added up: prompts, each by itself, but the sounds that are mixed into one, which
        stand where the first of them does."""
        parts: list[list[tuple[str, str]]] = []
        sounds: list[tuple[str, str]] = []
        for prompt in self.prompts:
            if not (self.together and prompt[0] == "audio"):
                parts.append([prompt])
                continue
            if not sounds:
                parts.append(sounds)
            sounds.append(prompt)
        return parts

    @property
    def label(self) -> str:
        if len(self.prompts) == 1:
            return self.prompts[0][1]
        labels = [" and ".join(caption(value) for _, value in part) for part in self.parts]
        return sum_caption(labels, self.mix or [1.0] * len(labels))

    def settings(self) -> GenerationSettings:
        """Its settings, without the images and embeddings that they need."""
        return GenerationSettings(**{f.name: getattr(self, f.name) for f in fields(ImageSettings)})

    def files(self) -> list[str]:
        """Every file that it reads."""
        own = [value for modality, value in self.prompts if modality != "text"]
        return own + [getattr(self, name) for name in FILES if getattr(self, name)]

    def hashed(self) -> Recipe:
        """With the sha256 of its files."""
        return replace(self, sha256={path: hash_file(Path(path)) for path in self.files()})

    def renamed(self, rename) -> Recipe:
        """With `rename` of every path in it."""

        def model(value: str) -> str:
            kind, is_path, path = value.partition(":")
            return f"{kind}:{rename(path)}" if is_path and kind in KINDS_OF_PATHS else value

        renamed: dict[str, Any] = {
            "prompts": tuple((m, v if m == "text" else rename(v)) for m, v in self.prompts),
            "sha256": {rename(path): digest for path, digest in self.sha256.items()},
            **{name: rename(getattr(self, name)) for name in FILES if getattr(self, name)},
            **{name: model(getattr(self, name)) for name in MODELS},
        }
        return replace(self, **renamed)


def make_recipes(
    prompts, mix=(), together_as_one: bool = False, options: dict | None = None,
    keep_loudness: bool = False, **settings,
) -> list[Recipe]:  # fmt: skip
    """The recipes of some prompts: one of them all where they have a `mix`, are played `together`
    or are the ends of a morph (`together_as_one`), else one of each.

    Args:
        options: of the transforms; `normalize` among them goes before `keep_loudness`.
        settings: other fields of Recipe.

    Raises BindplugError: as in Recipe."""
    own = dict(options or {})
    normalize = own.pop("normalize", "none" if keep_loudness else "peak")
    as_one = mix or together_as_one or settings.get("together")
    parts: list[Any] = [prompts] if as_one else [[prompt] for prompt in prompts]
    return [Recipe(part, mix, normalize=normalize, options=own, **settings) for part in parts]


def write_image(path: Path, image, recipe: Recipe) -> None:
    """Write a PIL image as a PNG with its recipe inside, and the recipe as JSON beside it. Paths in
    it are relative to the PNG's folder."""
    from ..storage.atomic import write_file, write_json

    path = Path(path)
    folder = path.resolve().parent
    relative = recipe.renamed(lambda name: os.path.relpath(Path(name).resolve(), folder))
    data, metadata = encode_image(image, relative)
    write_file(path, lambda f: f.write(data))
    write_json(path.with_suffix(".json"), metadata)


def encode_image(image, recipe: Recipe) -> tuple[bytes, dict]:
    """A PIL image as a PNG with its recipe inside, and the recipe as JSON data."""
    from PIL.PngImagePlugin import PngInfo

    from .. import __version__

    metadata, info, file = {"bindplug": __version__, **asdict(recipe)}, PngInfo(), io.BytesIO()
    info.add_itxt(KEY, json.dumps(metadata))
    image.save(file, format="PNG", pnginfo=info)
    return file.getvalue(), metadata


def read_recipe(png: str | Path) -> Recipe:
    """The recipe in a PNG that `write_image` wrote, or an earlier version of bindplug.

    Its files must have the contents that the image was made from. They are looked for from the
    PNG's folder and the current one, the folders above these, and last by their names alone.
    Raises BindplugError: no PNG with a recipe, or a file that is gone or has changed."""
    from PIL import PngImagePlugin

    from ..storage.source import check_file

    check_file(png, str(png), "picture")
    none = f"{png}: holds no recipe; give a PNG that generate wrote"
    try:
        with PngImagePlugin.PngImageFile(png) as image:
            metadata = dict(json.loads(image.text[KEY]))
    except Exception as err:  # Pillow raises many kinds for damaged files
        raise BindplugError(none) from err
    metadata = _current(metadata)
    unknown = sorted(set(metadata) - {f.name for f in fields(Recipe)})
    if "prompts" not in metadata or not isinstance(metadata.get("sha256"), dict):
        raise BindplugError(none)
    if unknown:
        raise BindplugError(
            f"{png}: its recipe has {unknown[0]!r}; a newer bindplug wrote it, so upgrade"
        )
    try:
        recipe = Recipe(**metadata)
    except BindplugError as err:
        raise BindplugError(f"{none} ({err})") from err
    folders = [Path(png).resolve().parent, Path.cwd()]
    return recipe.renamed(lambda name: _find(name, folders, recipe.sha256, png))


def _find(name: str, folders: list[Path], digests: dict[str, str], png) -> str:
    """The place of a file of a recipe, with the contents that it had."""
    tail = Path(*(part for part in Path(name).parts if part != os.pardir))
    above = [parent / tail for folder in folders for parent in (folder, *folder.parents)]
    places = [f / name for f in folders] + above + [f / tail.name for f in folders]
    there = [place for place in places if "\0" not in name and place.exists()]
    if not there:
        raise BindplugError(f"{name}: is gone; {png} was made from it")
    for place in there:
        if name not in digests or (place.is_file() and hash_file(place) == digests[name]):
            return str(place)
    raise BindplugError(f"{there[0]}: has changed since {png} was made from it")


def _current(metadata: dict) -> dict:
    """The fields of an earlier version under today's names."""
    metadata = {k: v for k, v in metadata.items() if k != "bindplug"}
    metadata.setdefault("candidates", 1)  # the first versions generated one image for each
    if "memory" in metadata:
        metadata["bank"] = metadata.pop("memory")
    if "keep_loudness" in metadata:
        metadata["normalize"] = "none" if metadata.pop("keep_loudness") else "peak"
    if metadata.get("window") == "telling":
        metadata["window"] = "most_confident"
    if metadata.get("device") == "auto":
        metadata["device"] = None
    return metadata
