"""The page in a real Chromium, as people use it; it is skipped where there is none."""

import base64
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
SHOTS = os.environ.get("BINDPLUG_SHOTS")  # a folder to keep screenshots in


def shoot(page, name):
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS, f"{name}.png")), full_page=True)


def status(page, words, seconds=30):
    expect(page.locator("#status")).to_contain_text(words, timeout=seconds * 1000)


def search(page, media, sound=None):
    page.set_input_files("#sound-file", sound or media / "dog.wav")
    page.set_input_files("#image-file", media / "garden.png")
    status(page, "above the threshold")


def test_upload_and_detect(open_page, media):
    page = open_page()
    search(page, media)
    status(page, "1 object above")
    label = re.compile(r"garden\.png: dog \d\d %")
    expect(page.locator("#canvas")).to_have_attribute("aria-label", label)
    expect(page.locator("#objects tr")).to_have_count(1)
    expect(page.get_by_label("dog.wav is taken for")).to_contain_text("dog")
    shoot(page, "detect")


def test_the_slider_asks_nothing_of_the_server(open_page, media):
    page = open_page()
    search(page, media)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    slider = page.get_by_role("slider", name="Threshold")
    slider.fill("0.02")
    expect(page.locator("#objects tr")).not_to_have_count(1)
    slider.fill("0.98")
    expect(page.locator("#objects tr")).to_have_count(0)
    slider.fill("0.3")
    slider.press("ArrowRight")
    expect(page.locator("#threshold-value")).to_have_text("0.31")
    for box in ("Boxes", "Masks", "Names"):
        page.get_by_label(box, exact=True).uncheck()
    before = page.locator("#canvas").screenshot()
    page.get_by_label("Masks", exact=True).check()
    assert page.locator("#canvas").screenshot() != before
    assert asked == []


def pixels_of(page):
    url = page.evaluate("document.getElementById('canvas').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def test_masks_lie_where_the_server_has_them(open_page, media, client, files):
    """The pixels that the page tints are those of the mask's run lengths."""
    page = open_page()
    search(page, media)
    page.get_by_label("Boxes", exact=True).uncheck()
    page.get_by_label("Names", exact=True).uncheck()
    with_mask = pixels_of(page)
    page.get_by_label("Masks", exact=True).uncheck()
    tinted = (with_mask != pixels_of(page)).any(axis=2)
    tinted = tinted[:: len(tinted) // 270, :: tinted.shape[1] // 360]
    answer = client.post("/v1/detect", files=files("images=garden.png", "audio=dog.wav")).json()
    counts = answer["images"][0]["objects"][0]["mask"]["counts"]
    inside = np.repeat(np.arange(len(counts)) % 2, counts).reshape(360, 270).T.astype(bool)
    assert tinted.shape == inside.shape
    assert (tinted == inside).mean() > 0.995


def test_examples_mixture_and_words(open_page):
    page = open_page()
    page.get_by_label("Example sound: dog").click()
    page.get_by_label("Example image: garden").click()
    status(page, "1 object above")
    page.get_by_label("Words to look for").fill("a cat")
    page.get_by_label("Words to look for").press("Enter")
    expect(page.locator("#objects tr")).to_have_count(2, timeout=20_000)
    page.get_by_label("Mix them into one").check()
    expect(page.locator("#objects")).to_contain_text("dog + a cat", timeout=20_000)
    one = page.locator("#objects td.number").first.inner_text()
    page.get_by_label("Weight of a cat").fill("0.9")
    expect(page.locator("#objects td.number").first).not_to_have_text(one, timeout=20_000)
    page.locator("#curl-box summary").click()
    expect(page.locator("#curl")).to_contain_text("-F mix=0.5,0.9")
    shoot(page, "mixture")
    page.get_by_label("Remove a cat").click()
    expect(page.locator("#prompts li")).to_have_count(1)


def test_recording(open_page):
    page = open_page()
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("button", name="Stop (1 s)")).to_be_visible(timeout=5000)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#prompts")).to_contain_text("recording-1.webm")
    expect(page.get_by_label("recording-1.webm is taken for")).to_be_visible(timeout=20_000)
    expect(page.locator("#error")).to_have_text("")


def test_generate_and_cancel(open_page, media, tmp_path, server):
    page = open_page()
    page.set_input_files("#sound-file", media / "rain.wav")
    page.get_by_role("tab", name="Generate").click()
    page.get_by_label("Show the candidates too").check()
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_label("Progress of the generation")).to_be_visible()
    status(page, "2 images", 90)
    expect(page.locator("#images figure > img")).to_have_count(2)
    expect(page.locator("#images .candidates").first.locator("img")).to_have_count(4)
    shoot(page, "generate")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download JSON").locator("visible=true").click()
    made = json.loads(Path(saved.value.path()).read_text())
    assert [i["seed"] for i in made["images"]] == [0, 1]
    page.get_by_label("Images", exact=True).fill("16")
    page.get_by_role("button", name="Generate").click()
    status(page, "Generating: ", 30)
    page.get_by_role("button", name="Cancel").locator("visible=true").click()
    status(page, "Cancelled")
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    for _ in range(100):
        if server.answering == 0:
            break
        page.wait_for_timeout(100)
    assert server.answering == 0


def test_film(open_page, make_video):
    page = open_page()
    page.get_by_role("tab", name="Film").click()
    page.set_input_files("#film-file", make_video("green", seconds=3, tone=440, name="clip.mp4"))
    page.get_by_role("button", name="Search", exact=True).click()
    status(page, "in 2.9 seconds", 60)
    expect(page.get_by_label("The film with what was found")).to_be_visible()
    expect(page.locator("#timeline text").first).to_have_text("0.0 s")
    assert page.locator("#tracks li").count() >= 1
    assert page.evaluate("document.getElementById('player').error") is None
    shoot(page, "film")


def test_downloads(open_page, media):
    page = open_page()
    search(page, media)
    with page.expect_download() as saved:
        page.locator("#find-json").click()
    found = json.loads(Path(saved.value.path()).read_text())
    assert saved.value.suggested_filename == "garden.json"
    assert [o["label"] for o in found["images"][0]["objects"]] == ["dog"]


@pytest.mark.parametrize("times", [1, 5])
def test_the_png_has_the_size_of_the_image(open_page, media, tmp_path, times):
    """Also of one that is smaller or larger than the page's canvas; masks lie where they are."""
    with Image.open(media / "garden.png") as garden:
        image = garden.resize((garden.width * times, garden.height * times), Image.NEAREST)
        image.save(tmp_path / "garden.png")
    page = open_page()
    search(page, tmp_path, sound=media / "dog.wav")
    shown = pixels_of(page).shape
    for box in ("Boxes", "Names"):
        page.get_by_label(box, exact=True).uncheck()
    with page.expect_download() as saved:
        page.locator("#find-png").click()
    assert saved.value.suggested_filename == "garden-found.png"
    with page.expect_download() as saved_json:
        page.locator("#find-json").click()
    found = json.loads(Path(saved_json.value.path()).read_text())["images"][0]
    with Image.open(saved.value.path()) as png:
        assert png.format == "PNG" and png.size == image.size != shown[1::-1]
        tinted = (np.asarray(png.convert("RGB")) != np.asarray(image.convert("RGB"))).any(axis=2)
    counts = found["objects"][0]["mask"]["counts"]
    inside = np.repeat(np.arange(len(counts)) % 2, counts).reshape(image.size).T.astype(bool)
    assert inside.any() and (tinted == inside).mean() > 0.999


def test_errors_are_shown_and_go_away(open_page, media):
    page = open_page()
    bad = {"name": "broken.wav", "mimeType": "audio/wav", "buffer": b"RIFF nothing"}
    page.set_input_files("#sound-file", bad)
    expect(page.get_by_role("alert")).to_contain_text("broken.wav: cannot be decoded as audio")
    shoot(page, "error")
    page.get_by_label("Remove broken.wav").click()
    bad = {"name": "broken.png", "mimeType": "image/png", "buffer": b"nothing"}
    page.set_input_files("#image-file", bad)
    expect(page.get_by_role("alert")).to_contain_text("broken.png: is not an image")
    search(page, media)
    expect(page.locator("#error")).to_have_text("")


def test_phone(open_page, media):
    page = open_page(width=400, height=800)
    search(page, media)
    for tab in ("Generate", "Film", "Find"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        shoot(page, f"phone-{tab}")
    sizes = page.evaluate("""[...document.querySelectorAll('button, .button, select')]
      .filter(n => n.offsetParent).map(n => n.getBoundingClientRect().height)""")
    assert min(sizes) >= 30


def test_dark(open_page, media):
    page = open_page(dark=True)
    search(page, media)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, ground[4:-1].split(","))) < 120
    shoot(page, "dark")


def test_keyboard(open_page):
    page = open_page()
    page.get_by_label("Example sound: dog").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Example image: garden").focus()
    page.keyboard.press("Space")
    status(page, "above the threshold")
    page.get_by_role("tab", name="Find").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Generate")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Generate")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tabpanel", name="Find")).to_be_visible()
    unnamed = page.evaluate("""
      [...document.querySelectorAll('input, select, button, video, canvas')]
      .filter(n => !(n.labels?.length || n.getAttribute('aria-label') || n.textContent.trim()))
      .map(n => n.outerHTML)""")
    assert unnamed == []


def test_a_token_is_asked_for(open_page, start_server):
    from bindplug.server.settings import Access, Models

    models = Models(detector="none", generator="none")
    guarded = start_server(models, Access(("a-long-token",)))
    page = open_page(address=guarded.address)
    expect(page.get_by_label("This server wants a token")).to_be_visible()
    page.get_by_label("This server wants a token").fill("a-long-token")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_label("Example sound: dog")).to_be_visible()
    expect(page.get_by_label("This server wants a token")).to_be_hidden()
    expect(page.get_by_role("tab", name="Generate")).to_be_disabled()
