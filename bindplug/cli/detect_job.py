"""The images of one `bindplug detect`: which are done, and each one's result written at once."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from ..errors import BindplugError
from .options import OUTPUT
from .output import Failures, refuse_inputs, say, to_json, unique_stems
from .prompts import prompt_records


def find_images(given: list[str]) -> list[str]:
    """Images that the arguments name; of folders and patterns without bindplug's own results.

    Raises:
        BindplugError: a folder or pattern without an image to search.
    """
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
    searched, or has a JSON of bindplug's beside it."""
    if OUTPUT in Path(os.path.relpath(path, folder)).parts[:-1]:
        return True
    try:
        data = json.loads(Path(path).with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and (
        {"schema", "detector"} <= set(data) or {"bindplug", "generator"} <= set(data)
    )


def hold_folder(folder: Path) -> None:
    """Wait until no other command writes results to a folder, and keep others waiting until this
    one ends. A lock on the folder itself leaves no file; without one (Windows) nothing is held."""
    try:
        import fcntl
    except ImportError:
        return
    handle = os.open(folder, os.O_RDONLY)
    click.get_current_context().call_on_close(lambda: os.close(handle))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"{folder}: is in use by another bindplug; waiting for it to end")
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        pass


def describe_job(embedder, detector, prompts, negatives, asked: dict, **settings) -> dict:
    """What results are made from, for their JSON: `--resume` compares all of it.

    Args:
        prompts, negatives: (modality, value) pairs; their contents are hashed.
        asked: as `PromptedDetector.detect` takes it.
        settings: further ones, of values that JSON holds.
    """
    words = asked.get("vocabulary")
    masker = detector.masker
    return {
        "prompts": prompt_records(prompts),
        "negatives": prompt_records(negatives),
        "embedder": embedder.fingerprint,
        "detector": detector.fingerprint or detector.name,
        "masker": masker and (getattr(masker, "fingerprint", "") or masker.name),
        "vocabulary": words and hashlib.sha256("\n".join(words).encode()).hexdigest(),
        "settings": {
            "threshold": asked["threshold"],
            "top_k": asked["top_k"],
            "bridge": asked["bridge"],
            "competition": asked["competition"],
            **settings,
        },
    }


class Job:
    """Images of one call, which of them are done, and where results go.

    Args:
        images: paths.
        inputs: paths of all that the call reads; no result may replace one of them.
        output: folder of the results; None writes none.
        overlay: write a PNG beside each JSON.
        resume: images whose JSON is there, and was made from the same, are done.

    Raises:
        BindplugError: results that exist and are neither resumed nor overwritten, or that would
            replace an input.
    """

    def __init__(self, images, inputs, output, overlay, overwrite, resume):
        from ..detection.results import result_paths
        from ..storage.atomic import make_folder, refuse_existing

        self.images, self.overlay, self.overwrite, self.resume = images, overlay, overwrite, resume
        self.stems, self.done = unique_stems(images), set()
        self.output = None if output is None or not images else make_folder(output)
        if self.output is None:
            return
        hold_folder(self.output)
        paths = [p for stem in self.stems for p in result_paths(self.output, stem, overlay)]
        refuse_inputs(paths, inputs)
        if not resume:
            refuse_existing(paths, overwrite)

    def run(self, finder, made_from: dict, batch_size: int, failures: Failures, streams) -> None:
        """Detect, and write each image's result at once.

        Args:
            finder: a `bindplug.detection.detector.Finder`.
            made_from: of `describe_job`.
            streams: JsonStreams, of the images' JSON or of COCO results.
        """
        from ..detection.results import coco_entries, document_head

        self.metadata = {
            **finder.query.metadata, "detector": finder.detector.name, "made_from": made_from
        }  # fmt: skip
        head = json.loads(to_json(document_head(self.metadata)))
        if self.resume:
            pairs = zip(self.images, self.stems, strict=True)
            self.done = {stem for path, stem in pairs if self._is_done(path, stem, head)}
        for number, entry in self._entries(finder, batch_size, failures):
            for stream in streams:
                rows = [entry] if stream.name else coco_entries(entry, number)
                for row in rows:
                    stream.add(row, head)
        for stream in streams:
            stream.close(head)
        if self.done:
            say(f"{len(self.done)} images were done already")
        if not head["bridge"].startswith("identity"):
            say(f"bridge: {head['bridge']}, competition: {head['competition']}")

    def _is_done(self, path: str, stem: str, head: dict) -> bool:
        """Whether an image's result is there, made from the same prompts, models and settings and
        from this image's content; a file of changed content is searched again.

        Raises:
            BindplugError: the result is of something else, and is not to be overwritten.
        """
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
        if not differences and not same_image and image != path:
            differences = [f"image {image}"]
        if differences and not self.overwrite:
            raise BindplugError(
                f"{file}: was made from other prompts, models or settings "
                f"({', '.join(dict.fromkeys(differences))}); choose another --output, or add "
                "--overwrite"
            )
        return same_image and not differences and all(path.exists() for path in paths)

    def _entries(self, finder, batch_size, failures) -> Iterator[tuple[int, dict]]:
        """(number from 1, entry of the JSON's images), in order; unreadable ones are left out."""
        order = deque(zip(range(1, len(self.images) + 1), self.images, self.stems, strict=True))
        new = [image for _, image, stem in order if stem not in self.done]
        for path, found in finder.stream(new, batch_size):
            yield from self._kept(order)
            number, _, stem = order.popleft()
            if isinstance(found, BindplugError):
                failures.add(found)
                continue
            yield number, self._write(found, path, stem)
        yield from self._kept(order)

    def _kept(self, order: deque) -> Iterator[tuple[int, dict]]:
        """Entries of the images that are done, up to the next that is not."""
        while order and order[0][2] in self.done:
            number, path, stem = order.popleft()
            [entry] = json.loads((self.output / f"{stem}.json").read_bytes())["images"]
            yield number, {**entry, "image": path}

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
    for key in sorted({*was, *now}):
        a, b = was.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            out += _differences(a, b)
        elif a != b:
            out.append(key)
    return out
