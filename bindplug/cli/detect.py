from contextlib import ExitStack
from pathlib import Path

import click

from ..detection.question import negatives_of
from ..embedding.modalities import MODALITIES, embed_one
from ..embedding.options import read_options
from ..errors import BindplugError
from .detect_job import Job, find_images
from .detection_options import detection_options, open_question
from .options import Once, is_given, output_options, refuse_given, transform_option
from .output import Failures, JsonStream, check_json, check_outputs, put_json, say
from .prompts import embed_prompts, need_prompts, prompt_files, prompts_of
from .ray_engine import engine_options, on_ray, parquet_list, show_progress, tell

NOT_ON_RAY = {"video", "json_file", "coco", "label_studio", "yolo", "overlay", "resume",
              "keep_going"}  # fmt: skip


@click.command()
@click.argument("images", nargs=-1, metavar="IMAGE...")
@prompts_of([s for s in MODALITIES if s != "video"])
@click.option(
    "--video",
    cls=Once,
    metavar="FILE",
    help="Search this video; without a prompt, by its own sound.",
)
@transform_option
@detection_options
@click.option("--json", "json_file", metavar="FILE|-", help="Objects as JSON.")
@click.option("--coco", metavar="FILE|-", help="Objects as COCO results.")
@click.option("--label-studio", metavar="FILE|-", help="Objects as Label Studio tasks.")
@click.option("--yolo", metavar="DIR", help="Objects as YOLO labels.")
@click.option("--overlay/--no-overlay", default=True, help="Write each image with the objects "
              "drawn on it, and a JSON; --no-overlay writes only the JSON, and only with "
              "-o.")  # fmt: skip
@click.option("--batch-size", default=1, show_default=True, type=click.IntRange(1))
@click.option("--resume", is_flag=True, help="Skip images whose results were made "
              "from the same image, prompts, models and settings.")  # fmt: skip
@click.option("--keep-going", is_flag=True, help="List at the end what could not be read, and exit "
              "with 5 instead of 2.")  # fmt: skip
@output_options
@engine_options
def detect(images, prompts, mix, video, transform_options, json_file, coco, label_studio, yolo,
           overlay, batch_size, resume, keep_going, output, overwrite, engine, actors,
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
      bindplug detect --engine ray --audio dog.wav images/ -o found
    """
    if on_ray(engine, NOT_ON_RAY):
        return _on_ray(images, prompts, mix, transform_options, batch_size, output, overwrite,
                       actors, **question)  # fmt: skip
    from ..detection.detector import Finder
    from ..detection.export import YoloFolder, label_studio_task
    from ..detection.question import describe_question, vocabulary_prompt
    from ..detection.results import coco_entries
    from ..embedding.vectors import mixed
    from ..storage.atomic import make_folder, refuse_existing
    from ..storage.locks import locked

    vocabulary = None if prompts or video else question["vocabulary"]
    if bool(images) == bool(video):
        raise BindplugError("give images, or one --video")
    if [json_file, coco, label_studio].count("-") > 1:
        raise BindplugError(
            "--json -, --coco - and --label-studio - would interleave; write all but one to files"
        )
    if video:
        unused = {"coco", "label_studio", "yolo", "batch_size", "resume"}
        unused |= set() if overlay else {"overlay"}
        unused |= set() if prompts else {"transform_options"}  # its own sound is heard as it is
        refuse_given("--video writes the annotated video and its timeline as JSON", unused)
    elif not vocabulary:
        need_prompts(prompts)
    folder = Path(output) if video or overlay or is_given("output") else None
    if resume and folder is None:
        raise BindplugError("--resume needs the files in --output; with --no-overlay, give -o")
    failures, negatives = Failures(keep_going), negatives_of(question)
    options = read_options(transform_options, {m for m, _ in prompts + negatives})
    job = Job(find_images(images), folder, overlay, overwrite, resume)
    paths = job.paths
    if video:
        paths = [folder / f"{Path(video).stem}{e}" for e in (".mp4", ".json", ".png")]
    inputs = [*prompt_files(prompts + negatives), *job.images, video, question["vocabulary"]]
    check_outputs([*paths, json_file, coco, label_studio], inputs)

    def refuse() -> None:
        if folder is not None and not resume:
            refuse_existing(paths, overwrite)
        elif folder is not None:
            job.refuse_strangers()

    refuse()
    for target in (json_file, coco, label_studio):
        check_json(target, overwrite, inputs)
    if yolo:
        job.yolo = YoloFolder(yolo, job.images, overwrite, job.earlier() if resume else None)
    if folder is not None:
        click.get_current_context().with_resource(locked(make_folder(folder), say))
        refuse()  # another process may have written meanwhile
    finder, embedder, asked = open_question(failures, options, **question)
    prompt = None
    if mix:
        prompt = mixed([embed_one(embedder, *p, options) for p in prompts], mix)
    elif prompts:
        prompt = embed_prompts(embedder, failures, prompts, options)
    elif vocabulary:
        prompt = vocabulary_prompt(embedder, finder, asked.get("vocabulary"))
        asked["competition"] = asked["competition"] or "none"
    made_from = describe_question(
        embedder, finder, prompts, negatives, asked, mix=mix, dtype=question["dtype"],
        options=options,
    )  # fmt: skip
    if video:
        from ..detection.video.annotate import annotate_video

        timeline = annotate_video(
            finder, embedder, video, folder, overwrite, progress=show_progress(), prompt=prompt,
            made_from=made_from, **asked,
        )  # fmt: skip
        put_json(json_file, timeline, overwrite)
        for track in sorted(timeline["tracks"], key=lambda t: -len(t["boxes"]))[:10]:
            spans = ", ".join(f"{s['start']:.1f}-{s['end']:.1f} s" for s in track["sounds"][:4])
            say(f"{track['label']} {track['score']:.2f}  {spans}")
        say(f"{len(timeline['tracks'])} tracks -> {paths[0]}, .json, .png")
        return failures.finish()
    with ExitStack() as stack:
        streams = []
        for target, name, rows in (
            (json_file, "images", lambda entry, _: [entry]),
            (coco, None, coco_entries),
            (label_studio, None, lambda entry, _: [label_studio_task(entry, finder.name)]),
        ):
            if target is not None:
                streams.append((JsonStream(target, name, overwrite), rows))
                stack.callback(streams[-1][0].discard)
        job.run(Finder(finder, prompt, **asked), made_from, batch_size, failures, streams)
    failures.finish()


def _on_ray(images, prompts, mix, transform_options, batch_size, output, overwrite, actors, device,
            **question) -> None:  # fmt: skip
    from .. import ray

    if not images:
        raise BindplugError("give images, or a .parquet with a column `path`")
    if not question["vocabulary"]:
        need_prompts(prompts)
    listed = parquet_list(images[0], "image") if len(images) == 1 else None
    paths = listed or find_images(images)
    options = read_options(transform_options, {m for m, _ in prompts + negatives_of(question)})
    check_outputs([output], [*prompt_files(prompts + negatives_of(question)), *images])
    report = ray.detect(
        paths, output, prompts, mix=mix, options=options, batch_size=batch_size, actors=actors,
        device=device, overwrite=overwrite, progress=show_progress(), **question,
    )  # fmt: skip
    tell(report, output)
