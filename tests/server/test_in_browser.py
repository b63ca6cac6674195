"""The page whose models run in the tab, in a real Chromium: skipped without it or npm's package."""

import os
import re
import shutil
import subprocess

import numpy as np
import pytest

import bindplug
from bindplug import BindplugError
from bindplug.errors import MissingDependency
from bindplug.server.in_browser import RUNTIME, browser_files
from bindplug.server.settings import Models

EMBED = """async ([modality, item]) => {
  const { embed } = await import("/browser/models.js");
  const file = document.getElementById("file").files[0];
  return await embed(modality, item ?? file);
}"""


@pytest.fixture(scope="module")
def folder(small_onnx, tmp_path_factory):
    """The exported small embedder, and onnxruntime-web by npm, or by ORT_WEB, its package."""
    folder = tmp_path_factory.mktemp("tab") / "small"
    shutil.copytree(small_onnx, folder)
    if package := os.environ.get("ORT_WEB"):
        shutil.copytree(package, folder / "node_modules" / "onnxruntime-web")
    elif shutil.which("npm"):
        command = ["npm", "install", "--prefix", str(folder), "onnxruntime-web", "--ignore-scripts"]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            pytest.skip("npm cannot fetch onnxruntime-web")
    else:
        pytest.skip("there is no npm")
    return folder


@pytest.fixture(scope="module")
def address(start_server, folder):
    models = Models(detector="none", generator="none")
    return start_server(models, browser=str(folder)).address


@pytest.fixture
def page(open_page, address):
    """The page, and the addresses that it asks for."""
    page = open_page(address=f"{address}/browser/")
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    return page


@pytest.fixture(scope="module")
def embedder():
    return bindplug.load_embedder("small", "cpu")


def test_names_an_image_and_a_sound(page, address, media):
    expect = pytest.importorskip("playwright.sync_api").expect
    for name, word in (("farm.png", "horse"), ("dog.wav", "dog")):
        page.set_input_files("#file", media / name)
        page.get_by_label("Names, separated by commas").fill("dog, rain, horse, rocket")
        page.get_by_role("button", name="Name it").click()
        expect(page.get_by_role("status")).to_have_text(f"{name}, named in this tab.",
                                                        timeout=60_000)  # fmt: skip
        expect(page.locator("#result tr").first).to_contain_text(re.compile(rf"{word}\s*\d+ %"))
        expect(page.locator("#result tr")).to_have_count(4)
    assert page.asked and all(url.startswith(f"{address}/browser/") for url in page.asked)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_texts_are_the_same_as_in_python(page, embedder):
    for text in ("a dog barks", "The sea’s WAVES, at night-time", "qwxyz rain"):
        found = np.array(page.evaluate(EMBED, ["text", text]))
        assert np.abs(found - embedder.embed(text=text).vectors[0]).max() < 1e-5


@pytest.mark.parametrize("name", ["farm.png", "coffee.png", "rocket.jpg"])
def test_images_are_the_same_as_in_python(name, page, embedder, media):
    page.set_input_files("#file", media / name)
    found = np.array(page.evaluate(EMBED, ["image", None]))
    wanted = embedder.embed(image=str(media / name)).vectors[0]
    # A JPEG's decoder may round otherwise than Pillow's.
    assert np.abs(found - wanted).max() < (1e-5 if name.endswith("png") else 1e-2)
    assert found @ wanted > 0.999


@pytest.mark.parametrize("name", ["dog.wav", "rain.wav", "rooster.wav"])
def test_sounds_are_the_same_as_in_python(name, page, embedder, media):
    page.set_input_files("#file", media / name)
    found = np.array(page.evaluate(EMBED, ["audio", None]))
    assert np.abs(found - embedder.embed(audio=str(media / name)).vectors[0]).max() < 1e-3


def test_what_is_no_image_is_said(page, tmp_path):
    (tmp_path / "broken.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "broken.png")
    page.get_by_role("button", name="Name it").click()
    page.get_by_text("broken.png: is no image that this browser reads").wait_for()
    page.get_by_label("Names, separated by commas").fill(" , ")
    page.get_by_role("button", name="Name it").click()
    page.get_by_text("Give a name or more").wait_for()


def test_only_named_files_are_served(address, folder):
    httpx = pytest.importorskip("httpx")
    with httpx.Client(base_url=address) as client:
        answer = client.get("/browser/image.onnx")
        assert answer.status_code == 200
        assert "wasm-unsafe-eval" in answer.headers["content-security-policy"]
        assert answer.content == (folder / "image.onnx").read_bytes()
        for name in ("CARD.md", "package.json", "..%2Fsmall%2FCARD.md", "node_modules"):
            assert client.get(f"/browser/{name}").status_code == 404, name
        assert "wasm-unsafe-eval" not in client.get("/").headers["content-security-policy"]


def test_off_by_default(server):
    httpx = pytest.importorskip("httpx")
    assert httpx.get(f"{server.address}/browser/").status_code == 404


def test_folders_that_do_not_do(small_onnx, folder, tmp_path):
    assert set(RUNTIME) <= browser_files(folder).keys()
    with pytest.raises(MissingDependency, match="npm install --prefix"):
        browser_files(small_onnx)
    with pytest.raises(BindplugError, match=r"manifest\.json: cannot be read"):
        browser_files(tmp_path)
