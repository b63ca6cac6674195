"""POST /v1/detect: objects in images, and in videos."""

import asyncio
import json
from dataclasses import replace

from ...detection.detector import Finder
from ...detection.query import COMPETITIONS, Query
from ...detection.results import Detections, coco_entries, document_head
from ...embedding.modalities import MODALITIES
from ...errors import BindplugError
from ...storage.json_text import to_json
from ..fields import INLINE, MIX, OPTION, RATE, VOCABULARY, Field, Form, prompt_fields, top_k
from ..question import BRIDGES, describe, question
from ..results import png
from .video import detect_video

FIELDS = [
    Field("images", "image", 'Searched in: a file, or "sha256:..." of one that was sent a short '
          "while ago. Without it, `image` is searched in.", many=True),
    *prompt_fields(m for m in MODALITIES if m != "video"),
    Field("video", "file", "Searched in, by its own sound if no prompt."),
    MIX,
    OPTION,
    RATE,
    Field("bridge", "word", "By default the detector's choice.", choices=BRIDGES),
    Field("competition", "word", "What a prompt competes with; by default words where a bridge is "
          "crossed.", choices=COMPETITIONS),
    VOCABULARY,
    Field("negative_audio", "file", "Not this.", many=True),
    Field("negative_text", "text", "Not this.", many=True),
    Field("negative_image", "file", "Not this.", many=True),
    Field("threshold", "number", "Lowest score; by default the weights' own.", least=0, most=1,
          example=0.3),
    top_k(100, "Highest number of objects."),
    Field("overlay", "switch", "Also a PNG with the objects drawn on it.", default=False),
    INLINE,
    Field("coco", "switch", "Also the objects as COCO results.", default=False),
    Field("stream", "switch", "Of a video, server-sent events: progress, then the result.",
          default=False),
]  # fmt: skip


def split_images(form: Form) -> tuple[list, list]:
    """The images to search in, and the prompts: `image` is a prompt where there are `images` or a
    video."""
    images, prompts = form["images"], form.prompts
    if not images and not form["video"]:
        images = [value for modality, value in prompts if modality == "image"]
        prompts = [p for p in prompts if p[0] != "image"]
    return images, prompts


async def detect(server, form: Form) -> dict:
    """The objects in each image, as `bindplug detect --json` writes them."""
    images, prompts = split_images(form)
    if bool(images) == bool(form["video"]):
        raise BindplugError("give images, or one video")
    if form["video"]:
        return await detect_video(server, form, prompts)
    if not prompts and not form["vocabulary"]:
        raise BindplugError("give a prompt: audio, text, ..., and the images to search as `images`")
    engine = server.engine(images[0].sha256)
    prompt, asked = await question(engine, form, prompts)
    features = await engine.encode(images)

    def find():
        finder = Finder(engine.detector, prompt, **asked)
        return finder.query, [finder(each) for each in features]

    def tell(query: Query, results: list[Detections]) -> dict:
        made_from = describe(engine, form, prompts, asked)
        head = document_head({**query.metadata, "detector": engine.detector.name,
                              "made_from": made_from})  # fmt: skip
        entries, coco = [], []
        for number, (image, found) in enumerate(zip(images, results, strict=True), 1):
            found = replace(found, image=image.name, sha256=image.sha256)
            entry = found.to_dict()
            coco += coco_entries(entry, number)
            if form["overlay"]:
                data = png(found.overlay())
                entry["overlay"] = server.link(data, "image/png", "overlay.png", form["inline"])
            entries.append(entry)
        heard = [{"prompt": label, "words": {w: float(p) for w, p in words}}
                 for label, words in zip(query.labels, query.heard, strict=False)]  # fmt: skip
        more = {"coco": coco} if form["coco"] else {}
        return {**json.loads(to_json(head)), "images": entries, "heard": heard, **more}

    # Run lengths and overlays need no model, and neither thread of the server is to wait for them.
    return await asyncio.to_thread(tell, *await engine.run(find))
