from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from ..errors import BindplugError
from .detect_job import Job, describe_job, find_images, hold_folder
from .detection_options import (
    negatives_of,
    open_detector,
    question_options,
    read_question,
    vocabulary_prompt,
)
from .options import (
    device_option,
    is_given,
    keep_going_option,
    model_option,
    open_embedder,
    output_options,
    read_options,
    transform_option,
)
from .output import Failures, JsonStream, put_json, refuse_inputs, say
from .prompts import FLAGS, embed_prompts, mix_prompts, need_prompts, prompts_of


@click.command()
@click.argument("images", nargs=-1, metavar="IMAGE...")
@prompts_of([s for s in FLAGS if s != "video"])
@click.option("--video", metavar="FILE", help="Search this video, by its own sound if no prompt.")
@transform_option
@model_option
@question_options
@click.option("--json", "json_file", metavar="FILE|-", help="Objects as JSON.")
@click.option("--coco", metavar="FILE|-", help="Objects as COCO results.")
@click.option(
    "--overlay/--no-overlay",
    default=True,
    help="Write an image with the objects drawn on it; without, a JSON where -o is given.",
)
@click.option("--batch-size", default=1, show_default=True, type=click.IntRange(1))
@click.option("--resume", is_flag=True, help="Keep results that were made from the same.")
@keep_going_option
@output_options
@device_option
def detect(images, prompts, mix, video, transform_options, model, detector, weights, masks, dtype,
           json_file, coco, overlay, batch_size, resume, keep_going, output, overwrite, device,
           **question):  # fmt: skip
    """Find in each IMAGE what a sound, text or image means.

    A folder or a pattern stands for its images. Without a prompt, all words of --vocabulary are
    looked for.

    \b
      bindplug detect --audio dog.wav image.jpg
      bindplug detect --audio dog.wav --audio train.wav --json - *.jpg
      bindplug detect --audio dog.wav --text "on grass" --mix 0.7,0.3 image.jpg
      bindplug detect --audio dog.wav --negative-text wolf images/ --keep-going
      bindplug detect --vocabulary lvis image.jpg
      bindplug detect --video clip.mp4
    """
    from ..detection.detector import Finder

    vocabulary = None if prompts or video else question["vocabulary"]
    if bool(images) == bool(video):
        raise BindplugError("give images, or one --video")
    if json_file == coco == "-":
        raise BindplugError("--json - and --coco - would interleave; write one of them to a file")
    if not video and not vocabulary:
        need_prompts(prompts)
    writes = overlay or is_given("output")
    if resume and not writes:
        raise BindplugError("--resume goes by the files of --output; give -o with --no-overlay")
    failures, negatives = Failures(keep_going), negatives_of(question)
    options = read_options(transform_options, {m for m, _ in prompts + negatives})
    images = find_images(images)
    inputs = [value for modality, value in prompts + negatives if modality != "text"]
    inputs += [video] if video else images
    job = Job(images, inputs, output if writes else None, overlay, overwrite, resume)
    refuse_inputs([Path(f) for f in (json_file, coco) if f not in (None, "-")], inputs)
    embedder = open_embedder(model, device)
    finder = open_detector(detector, weights, masks, dtype, device)
    asked = read_question(embedder, failures, question, options)
    prompt = None
    if mix:
        prompt = mix_prompts(embedder, prompts, mix, options)
    elif prompts:
        prompt = embed_prompts(embedder, failures, prompts, options)
    elif vocabulary:
        prompt = vocabulary_prompt(embedder, finder, asked.get("vocabulary"))
        asked["competition"] = asked["competition"] or "none"
    made_from = describe_job(
        embedder, finder, prompts, negatives, asked, mix=mix, dtype=dtype, options=options
    )
    if video:
        if prompt is not None:
            asked["prompt"] = prompt
        asked["made_from"] = made_from
        _detect_video(finder, embedder, video, inputs, asked, output, overwrite, json_file, coco)
        failures.finish()
        return
    with ExitStack() as stack:
        streams = []
        for target, name in ((json_file, "images"), (coco, None)):
            if target is not None:
                streams.append(JsonStream(target, name, overwrite))
                stack.callback(streams[-1].discard)
        job.run(Finder(finder, prompt, **asked), made_from, batch_size, failures, streams)
    failures.finish()


def _detect_video(
    detector, embedder, video, inputs, asked, output, overwrite, json_file, coco
) -> None:
    from ..detection.video.annotate import annotate_video
    from ..storage.atomic import make_folder

    if coco:
        raise BindplugError("--coco is for images; a video's timeline is JSON")
    folder, stem = make_folder(output), Path(video).stem
    hold_folder(folder)
    refuse_inputs([folder / f"{stem}{e}" for e in (".mp4", ".json", ".png")], inputs)
    timeline = annotate_video(detector, embedder, video, output, overwrite, progress=True, **asked)
    put_json(json_file, timeline, overwrite)
    for track in sorted(timeline["tracks"], key=lambda t: -len(t["boxes"]))[:10]:
        spans = ", ".join(f"{s['start']:.1f}-{s['end']:.1f} s" for s in track["sounds"][:4])
        say(f"{track['label']} {track['score']:.2f}  {spans}")
    say(f"{len(timeline['tracks'])} tracks -> {output}/{stem}.mp4, .json, .png")
