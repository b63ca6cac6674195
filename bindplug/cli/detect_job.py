"""The images of one `bindplug detect`: which are done, and each one's result written at once."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..embedding.inputs import caption
from ..errors import BindplugError
from ..storage.json_text import to_json
from .options import OUTPUT
from .output import Failures, say, unique_stems


def find_images(given: list[str]) -> list[str]:
    """Images that the arguments name; of folders and patterns without bindplug's own results."""
    from ..embedding.inputs import expand

    out = []
    for value in given:
        paths = expand("image", value)
        kept = paths if paths == [value] else [p for p in paths if not _is_result(p, value)]
        if not kept:
            raise BindplugError(
                f"{value}: holds only images that bindplug wrote; name those to search one by one"
            )
        out += kept
    return out


def _is_result(path: str, folder: str) -> bool:
    """Whether bindplug wrote an image: it lies in a default output folder below the one that is
    searched; or it is a PNG with a JSON of bindplug's beside it that is no detection in it."""
    from ..generation.recipe import KEY
    from ..storage.hashing import content_hash

    if OUTPUT in Path(os.path.relpath(path, folder)).parts[:-1]:
        return True
    if Path(path).suffix != ".png":
        return False
    try:
        data = json.loads(Path(path).with_suffix(".json").read_bytes())
        if {"bindplug", "generator"} <= set(data):
            return KEY.encode() in Path(path).read_bytes()
        if not {"schema", "detector"} <= set(data):
            return False
        if "video" in data:
            return True
        [entry] = data["images"]  # of a result; --json may name any file and hold many
        source, digest = entry["image"], entry.get("sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return os.path.realpath(source) != os.path.realpath(path) and digest != content_hash(path)


class Job:
    """Images of one call, which of them are done, and where results go.

    Args:
        output: folder of the results; None writes none.
        overlay: write a PNG beside each JSON.
        resume: images whose JSON is there, and was made from the same, are done.

    Attributes:
        yolo: a YoloFolder that all results are added to, or None.
    """

    def __init__(self, images: list[str], output: Path | None, overlay, overwrite, resume):
        from ..detection.results import result_paths

        self.images, self.output, self.overlay = images, output, overlay
        self.overwrite, self.resume, self.yolo = overwrite, resume, None
        self.stems, self.done = unique_stems(images), set()
        stems = [] if output is None else self.stems
        self.paths = [p for stem in stems for p in result_paths(output, stem, overlay)]

    def earlier(self) -> Iterator[dict]:
        """Entries of results that are there, made from whatever."""
        for stem in self.stems:
            with suppress(OSError, ValueError, KeyError, TypeError):
                yield self._entry(stem)

    def _entry(self, stem: str) -> dict:
        [entry] = json.loads((self.output / f"{stem}.json").read_bytes())["images"]
        return entry

    def refuse_strangers(self) -> None:
        """Raises FileExists: an overlay would replace an image that no run of detect wrote: it has
        no result beside it, and is no overlay that was to get its result next."""
        from ..detection.results import is_overlay
        from ..storage.atomic import refuse_existing

        alone = [
            p for p in self.paths if p.suffix == ".png" and not p.with_suffix(".json").exists()
        ]
        refuse_existing([p for p in alone if p.exists() and not is_overlay(p)], self.overwrite)

    def run(self, finder, made_from: dict, batch_size: int, failures: Failures, streams) -> None:
        """Detect with a Finder, and write each image's result at once, also to `streams`: pairs of
        a JsonStream and a function that makes its rows of an entry and its number."""
        from ..detection.results import document_head

        own = {"detector": finder.detector.name, "made_from": made_from}
        self.metadata = {**finder.query.metadata, **own}
        head = json.loads(to_json(document_head(self.metadata)))
        if self.yolo is not None:
            self.yolo.names = dict(enumerate(map(caption, finder.query.labels)))
        if self.resume:
            pairs = zip(self.images, self.stems, strict=True)
            self.done = {stem for path, stem in pairs if self._is_done(path, stem, head)}
        for number, entry in enumerate(self._entries(finder, batch_size, failures), 1):
            for stream, rows in streams:
                for row in rows(entry, number):
                    stream.add(row, head)
            if self.yolo is not None:
                self.yolo.add(entry)
        for stream, _ in streams:
            stream.close(head)
        if self.yolo is not None:
            say(f"YOLO labels -> {self.yolo.close()}")
        if self.done:
            say(f"{len(self.done)} images were done already")
        if not head["bridge"].startswith("identity"):
            say(f"bridge: {head['bridge']}, competition: {head['competition']}")

    def _is_done(self, path: str, stem: str, head: dict) -> bool:
        """Whether an image's result is there, made from the same prompts, models and settings and
        from this image's content; a file of changed content is searched again, and a result of
        something else is refused unless it may be overwritten."""
        from ..detection.results import result_paths
        from ..storage.hashing import content_hash

        paths = result_paths(self.output, stem, self.overlay)
        file = paths[-1]
        if not file.exists():
            return False
        try:
            was = json.loads(file.read_bytes())
            [entry] = was.pop("images")
            image, digest = entry["image"], entry.get("sha256")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
            raise BindplugError(f"{file}: cannot be read; delete it and resume again") from err
        differences = _differences(was, head)
        same_image = digest == content_hash(path)
        if not differences and not same_image and image != path and not self.overwrite:
            raise BindplugError(
                f"{file}: is the result of {image}, and that of {path} would have the same name; "
                "choose another --output, or add --overwrite"
            )
        if differences and not self.overwrite:
            raise BindplugError(
                f"{file}: was made from other prompts, models or settings "
                f"({', '.join(dict.fromkeys(differences))}); choose another --output, or add "
                "--overwrite"
            )
        return same_image and not differences and all(path.exists() for path in paths)

    def _entries(self, finder, batch_size, failures) -> Iterator[dict]:
        """Entries of the JSON's images, in order; unreadable ones are left out."""
        pairs = list(zip(self.images, self.stems, strict=True))
        new = finder.stream([path for path, stem in pairs if stem not in self.done], batch_size)
        for path, stem in pairs:
            if stem in self.done:
                yield {**self._entry(stem), "image": path}
                continue
            _, found = next(new)
            if isinstance(found, BindplugError):
                failures.add(found)
            else:
                yield self._write(found, path, stem)

    def _write(self, found, path: str, stem: str) -> dict:
        from ..storage.hashing import content_hash

        found = replace(found, image=path, metadata=self.metadata, sha256=content_hash(path))
        line = f"{path}  {len(found)} object{'s' * (len(found) != 1)}"
        if len(found):
            line += f"  best {found.labels[0]} {found.scores[0]:.2f}"
        if self.output is not None:
            line += f"  -> {found.save(self.output, True, stem, self.overlay)[0]}"
        say(line)
        return found.to_dict()


def _differences(was: dict, now: dict) -> list[str]:
    """Names of what differs between two nested dictionaries."""
    out = []
    for key in sorted(key for key in {*was, *now} if was.get(key) != now.get(key)):
        pair = was.get(key), now.get(key)
        out += _differences(*pair) if all(isinstance(v, dict) for v in pair) else [key]
    return out
