from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from ..errors import BindplugError
from .detection_options import open_detector, question_options, read_question
from .options import device_option, keep_going_option, model_option, output_options
from .output import Failures, JsonStream, clear_errors, put_json, say, unique_stems
from .prompts import FLAGS, PromptCommand, embed_prompts, mix_prompts, need_prompts, prompts_of


@click.command(cls=PromptCommand)
@click.argument("images", nargs=-1, metavar="IMAGE...")
@prompts_of([s for s in FLAGS if s != "video"])
@click.option("--video", metavar="FILE", help="Search this video, by its own sound if no prompt.")
@model_option
@question_options
@click.option("--json", "json_file", metavar="FILE|-", help="Objects as JSON.")
@click.option("--coco", metavar="FILE|-", help="Objects as COCO results.")
@click.option("--overlay/--no-overlay", default=True, help="Write a picture for each image.")
@click.option("--batch-size", default=1, show_default=True, type=click.IntRange(1))
@click.option("--resume", is_flag=True, help="Take pictures that are done already as they are.")
@keep_going_option
@output_options
@device_option
@clear_errors
def detect(
    images,
    prompts,
    mix,
    video,
    model,
    detector,
    weights,
    masks,
    dtype,
    json_file,
    coco,
    overlay,
    batch_size,
    resume,
    keep_going,
    output,
    overwrite,
    device,
    **question,
):
    """Find in each IMAGE what a sound, text or picture means.

    A folder or a pattern stands for its pictures.

    \b
      bindplug detect --audio dog.wav image.jpg
      bindplug detect --audio dog.wav --audio train.wav --json - *.jpg
      bindplug detect --audio dog.wav --text "on grass" --weights 0.7 0.3 image.jpg
      bindplug detect --audio dog.wav --negative-text wolf pictures/ --keep-going
      bindplug detect --video clip.mp4
    """
    from ..detection.detector import Finder
    from ..embedding.inputs import expand
    from ..models.load import load_embedder

    if bool(images) == bool(video):
        raise BindplugError("give pictures, or one --video")
    if not video:
        need_prompts(prompts)
    failures = Failures(keep_going)
    images = [path for image in images for path in expand("image", image)]
    job = Job(images, output, overlay, overwrite, resume)
    embedder = load_embedder(model, device)
    finder = open_detector(detector, weights, masks, dtype, device)
    asked = read_question(embedder, failures, **question)
    prompt = None
    if mix:
        prompt = mix_prompts(embedder, prompts, mix)
    elif prompts:
        prompt = embed_prompts(embedder, failures, prompts)
    if video:
        _watch(finder, embedder, video, prompt, asked, output, overwrite, json_file, coco)
        return
    with ExitStack() as stack:
        streams = []
        for target, name in ((json_file, "images"), (coco, None)):
            if target is not None:
                streams.append(JsonStream(target, name, overwrite))
                stack.callback(streams[-1].discard)
        job.run(Finder(finder, prompt, **asked), batch_size, failures, streams)
    failures.finish()


class Job:
    """Pictures of one call, which of them are done, and where results go.

    Args:
        resume: pictures whose JSON is in the output folder are done.

    Raises:
        BindplugError: results that exist and are neither resumed nor overwritten.
    """

    def __init__(self, images, output, overlay, overwrite, resume):
        from ..storage.atomic import make_folder, refuse_existing

        self.images, self.overlay = images, overlay
        self.stems, self.output, self.done = unique_stems(images), Path(output), {}
        if resume and not overlay:
            raise BindplugError("--resume goes by the files of --output; leave out --no-overlay")
        if not overlay:
            return
        if images:
            make_folder(output)
        for stem in self.stems:
            files = [self.output / f"{stem}.png", self.output / f"{stem}.json"]
            if resume and files[1].exists():  # written last
                self.done[stem] = files[1]
            else:
                refuse_existing(files, overwrite or resume)

    def run(self, finder, batch_size: int, failures: Failures, streams: list) -> None:
        """Detect, and write each picture's result at once."""
        from ..detection.results import coco_entries, document_head

        head = document_head({**finder.query.metadata, "detector": finder.detector.name})
        for number, entry in self._entries(finder, batch_size, head, failures):
            for stream in streams:
                rows = [entry] if stream.name else coco_entries(entry, number)
                for row in rows:
                    stream.add(row, head)
        for stream in streams:
            stream.close(head)
        if self.done:
            say(f"{len(self.done)} pictures were done already")
        if not head["bridge"].startswith("identity"):
            say(f"bridge: {head['bridge']}, competition: {head['competition']}")

    def _entries(self, finder, batch_size, head, failures) -> Iterator[tuple[int, dict]]:
        """(number from 1, entry of the JSON's images), in order; unreadable ones are left out."""
        order = deque(zip(range(1, len(self.images) + 1), self.images, self.stems, strict=True))
        new = [image for _, image, stem in order if stem not in self.done]
        for path, found in finder.stream(new, batch_size):
            yield from self._kept(order, head)
            number, _, stem = order.popleft()
            if isinstance(found, BindplugError):
                failures.add(found)
                continue
            yield number, self._write(found, path, stem)
        yield from self._kept(order, head)

    def _kept(self, order: deque, head: dict) -> Iterator[tuple[int, dict]]:
        while order and order[0][2] in self.done:
            number, path, stem = order.popleft()
            file = self.done[stem]
            try:
                kept = json.loads(file.read_text())
                same = {key: kept[key] for key in head} == head
                entry = kept["images"][0]
            except (OSError, ValueError, KeyError, IndexError, TypeError) as err:
                raise BindplugError(f"{file}: cannot be read; delete it and resume again") from err
            if not same:
                raise BindplugError(
                    f"{file}: is of other models, bridge or contrast; choose another --output, "
                    "or --overwrite without --resume"
                )
            yield number, {**entry, "image": path}

    def _write(self, found, path: str, stem: str) -> dict:
        line = f"{path}  {len(found)} object{'s' * (len(found) != 1)}"
        if len(found):
            line += f"  best {found.labels[0]} {found.scores[0]:.2f}"
        if self.overlay:
            written = replace(found, image=stem).save(self.output, overwrite=True)
            line += f"  -> {written[0]}"
        say(line)
        return found.to_dict()


def _watch(detector, embedder, video, prompt, asked, output, overwrite, json_file, coco) -> None:
    from ..detection.video.annotate import annotate_video

    if coco:
        raise BindplugError("--coco is for pictures; a video's timeline is JSON")
    timeline = annotate_video(
        detector, embedder, video, output, overwrite, progress=True, prompt=prompt, **asked
    )
    put_json(json_file, timeline, overwrite)
    for track in sorted(timeline["tracks"], key=lambda t: -len(t["boxes"]))[:10]:
        spans = ", ".join(f"{s['start']:.1f}-{s['end']:.1f} s" for s in track["sounds"][:4])
        say(f"{track['label']} {track['score']:.2f}  {spans}")
    say(f"{len(timeline['tracks'])} tracks -> {output}/{Path(video).stem}.mp4, .json, .png")
