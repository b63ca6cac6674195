"""/v1/detect of a video: its timeline, and the annotated video by link."""

import asyncio
from pathlib import Path

from ...errors import BindplugError
from ..checks import check_input, check_sound
from ..fields import Form
from ..long_work import Teller
from ..question import describe, question
from ..scratch import scratch_folder
from ..settings import Limits
from ..uploads import Upload

IMAGES_ONLY = ("coco", "overlay")


async def detect_video(server, form: Form, prompts: list):
    """The timeline, as `bindplug detect --video` writes it; as server-sent events where the form
    wants a stream."""
    for name in IMAGES_ONLY:
        if form[name]:
            raise BindplugError(f"{name}: is for images; a video returns its timeline and a link")
    video = form["video"]
    await asyncio.to_thread(_check_video, video, not prompts, server.limits)
    engine = server.engine()
    prompt, asked = await question(engine, form, prompts)
    made_from = describe(engine, form, prompts, asked)

    def work(tell: Teller) -> dict:
        from ...detection.video.annotate import annotate_video

        def progress(done: int, total: int) -> None:
            tell("progress", {"done": done, "of": total, "unit": "frames"})

        with scratch_folder() as folder:
            timeline = annotate_video(
                engine.detector, engine.embedder, video, folder, progress=progress,
                made_from=made_from, prompt=prompt, **asked,
            )  # fmt: skip
            [path] = folder.glob("*.mp4")
            name = f"{Path(video.name).stem}.mp4"
            link = server.link(path.read_bytes(), "video/mp4", name, form["inline"])
        return {**timeline, "annotated": link}

    return server.long(engine, work, form["stream"])


def _check_video(video: Upload, listened_to: bool, limits: Limits) -> None:
    if check_input("video", video, limits) is not video:
        raise BindplugError("video: send a file to search in, not an array")
    if listened_to:
        check_sound(video, limits)
