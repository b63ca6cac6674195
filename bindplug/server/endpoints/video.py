"""/v1/detect of a video: its timeline, and the annotated video by link."""

import tempfile
from pathlib import Path

from ...errors import BindplugError
from ..checks import check_input
from ..fields import Form
from ..long_work import Teller
from ..question import describe, question

IMAGES_ONLY = ("coco", "overlay")


async def detect_video(server, form: Form, prompts: list):
    """The timeline, as `bindplug detect --video` writes it; as server-sent events where the form
    wants a stream."""
    for name in IMAGES_ONLY:
        if form[name]:
            raise BindplugError(f"{name}: is for images; a video gives its timeline and a link")
    video = form["video"]
    engine = server.engine()
    prompt, asked = await question(engine, form, prompts)
    item = check_input("video", video, server.limits)
    if item is not video:
        raise BindplugError("video: send a file to search in, not an array")
    made_from = describe(engine, form, prompts, asked)

    def work(tell: Teller) -> dict:
        from ...detection.video.annotate import annotate_video

        def progress(done: int, total: int) -> None:
            tell("progress", {"done": done, "of": total, "unit": "frames"})

        with tempfile.TemporaryDirectory(prefix="bindplug-serve-") as folder:
            timeline = annotate_video(
                engine.detector, engine.embedder, video, folder, progress=progress,
                made_from=made_from, prompt=prompt, **asked,
            )  # fmt: skip
            [path] = Path(folder).glob("*.mp4")
            name = f"{Path(video.name).stem}.mp4"
            link = server.link(path.read_bytes(), "video/mp4", name, form["inline"])
        return {**timeline, "annotated": link}

    return server.long(engine, work, form["stream"])
