"""The timeline of a video drawn as an image."""

from PIL import Image, ImageDraw, ImageFont

from ...embedding.inputs import caption
from ..drawing import COLOURS

WIDTH, MOST = 900, 40  # pixels, and tracks that are drawn


def timeline_picture(timeline: dict) -> Image.Image:
    """An RGB image of when each track of an `annotate_video` timeline sounds, longest first."""
    font = ImageFont.load_default(size=13)
    seconds = max(timeline["seconds"], 1e-3)
    tracks = sorted(timeline["tracks"], key=lambda t: -len(t["boxes"]))[:MOST]
    left, row, top = 150, 22, 44
    out = Image.new("RGB", (WIDTH, top + row * max(len(tracks), 1) + 12), "white")
    draw = ImageDraw.Draw(out)

    def x(time: float) -> float:
        return left + (WIDTH - left - 12) * min(time, seconds) / seconds

    for i in range(5):
        time = seconds * i / 4
        draw.text((x(time) - (30 if i == 4 else 0), 4), f"{time:.1f} s", fill="black", font=font)
    for window in timeline["windows"]:
        if window["heard"]:
            word = next(iter(window["heard"]))
            room = x(window["end"]) - x(window["start"])
            while word and draw.textlength(word, font=font) > room - 4:
                word = word[:-1]
            draw.text((x(window["start"]) + 2, 22), word, fill=(90, 90, 90), font=font)
        draw.line((x(window["start"]), 40, x(window["start"]), out.height), fill=(225, 225, 225))
    if not tracks:
        draw.text((left, top), "nothing found", fill="black", font=font)
    for i, track in enumerate(tracks):
        y = top + i * row
        name = f"{caption(track['label'])} {track['score']:.2f}"
        draw.text((8, y + 2), name[:22], fill="black", font=font)
        for span in track["sounds"]:
            box = (x(span["start"]), y + 3, max(x(span["end"]), x(span["start"]) + 2), y + row - 4)
            draw.rectangle(box, fill=COLOURS[i % len(COLOURS)])
    return out
