"""What axe-core says of the page, with all of it filled in."""

import shutil
import subprocess
import tarfile

import pytest

expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The script of axe-core, from npm's index."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm")
    folder = tmp_path_factory.mktemp("axe")
    command = ["npm", "pack", "--silent", "axe-core@4"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if run.returncode:
        pytest.skip("axe-core cannot be fetched")
    with tarfile.open(folder / run.stdout.strip()) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(dark, open_page, media, make_video, axe):
    page = open_page(dark=dark)
    page.set_input_files("#sound-file", media / "dog.wav")
    page.set_input_files("#image-file", media / "garden.png")
    expect(page.locator("#status")).to_contain_text("above the threshold", timeout=30_000)
    page.get_by_label("Words to look for").fill("a cat")
    page.get_by_label("Words to look for").press("Enter")
    page.get_by_label("Mix them into one").check()
    for summary in page.locator("summary").all():
        summary.click()
    page.evaluate(axe + "; null")
    for tab in ("Find", "Generate", "Film"):
        page.get_by_role("tab", name=tab).click()
        if tab == "Film":
            page.set_input_files("#film-file", make_video("green", seconds=1, tone=440))
            page.get_by_role("button", name="Search", exact=True).click()
            expect(page.locator("#status")).to_contain_text("in 0.9 seconds", timeout=60_000)
        found = page.evaluate("axe.run().then(found => found.violations)")
        assert [(v["id"], v["impact"], [n["html"] for n in v["nodes"]]) for v in found] == [], tab
