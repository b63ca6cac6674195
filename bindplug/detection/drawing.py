"""Overlays of detections, and contact sheets, with Pillow."""

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from ..embedding.inputs import caption

# Okabe and Ito's palette, which colour-blind readers can tell apart too.
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#0072b2")


def overlay(found) -> Image.Image:
    """The RGB image of a `Detections` with tinted masks (0.6 pixel + 0.4 colour), boxes and
    captions; the best object is drawn last, on top."""
    image = found.picture or Image.new("RGB", (found.width, found.height), "white")
    pixels = np.array(image.convert("RGB"), dtype=np.float32)
    line = max(2, round(min(pixels.shape[:2]) / 200))
    if found.masks is not None:
        for mask, i in zip(found.masks[::-1], found.class_ids[::-1], strict=True):
            colour = ImageColor.getrgb(COLOURS[i % len(COLOURS)])
            pixels[mask] = 0.6 * pixels[mask] + 0.4 * np.array(colour)
    image = Image.fromarray(pixels.round().astype(np.uint8))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=max(10, 6 * line))
    for i, label in reversed(list(enumerate(found.labels))):
        box, colour = found.boxes[i].tolist(), COLOURS[found.class_ids[i] % len(COLOURS)]
        draw.rectangle(box, outline=colour, width=line)
        text = f"{caption(label)} {found.scores[i]:.2f}"
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        x = min(max(0.0, box[0]), max(0.0, found.width - (right - left) - 4))
        y = max(0.0, box[1] - (bottom + 4))
        draw.rectangle((x, y, x + right - left + 4, y + bottom + 4), fill=colour)
        draw.text((x + 2, y + 2 - top / 2), text, fill="black", font=font)
    return image


def sheet(rows: list[tuple[str, list[tuple[str, Image.Image]]]], height: int = 240) -> Image.Image:
    """A contact sheet, RGB.

    Args:
        rows: of each its title and its (caption, image) pairs.
        height: that all images are scaled to, pixels.
    """
    font, gap = ImageFont.load_default(size=15), 12
    cells = [
        (title, [(c, i.resize((round(i.width * height / i.height), height))) for c, i in images])
        for title, images in rows
    ]
    width = max(sum(i.width + gap for _, i in row) for _, row in cells) + gap
    row_height = height + 56
    out = Image.new("RGB", (width, row_height * len(cells) + gap), "white")
    draw = ImageDraw.Draw(out)
    for r, (title, row) in enumerate(cells):
        top = gap + r * row_height
        draw.text((gap, top), title, fill="black", font=font)
        x = gap
        for words, image in row:
            out.paste(image, (x, top + 24))
            draw.text((x, top + 26 + height), words, fill=(80, 80, 80), font=font)
            x += image.width + gap
    return out
