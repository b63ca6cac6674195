"""The site of docs/ builds without a warning and asks nothing of other hosts."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from documents.blocks import ROOT

pytest.importorskip("mkdocs", reason="the extra [docs] is not installed")
pytest.importorskip("material", reason="the extra [docs] is not installed")
pytest.importorskip("mkdocstrings", reason="the extra [docs] is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built pages: every page is in the navigation, and every link leads somewhere."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        build(load_config("mkdocs.yml", site_dir=str(folder), strict=True))  # Abort on a warning
    return folder


def test_every_page_is_there(site):
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        path = site / ("index.html" if name == "index" else f"{name}/index.html")
        assert path.is_file(), name


def test_the_reference_has_the_public_names(site):
    import bindplug

    pages = "".join(p.read_text("utf-8") for p in (site / "api").rglob("index.html"))
    anchors = set(re.findall(r'id="([\w.]+)"', pages))
    names = {name.rpartition(".")[2] for name in anchors}
    assert set(bindplug.__all__) - {"__version__"} <= names
    assert "bindplug.imagebind.model.ImageBind" in anchors
    assert "bindplug_detic.live.patched" in anchors


def test_nothing_is_loaded_from_other_hosts(site):
    loads = re.compile(r'<(?:script|img|iframe|source)[^>]+src="(?:https?:)?//')
    kinds = "stylesheet|preload|preconnect"
    styles = re.compile(rf'<link[^>]+rel="(?:{kinds})"[^>]+href="(?:https?:)?//')
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert not loads.search(text) and not styles.search(text), page


@pytest.mark.parametrize("name", ["space", "bridge", "competition", "region"])
def test_drawings(name):
    text = (ROOT / "docs" / "concepts" / f"{name}.svg").read_text("utf-8")
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") and "prefers-color-scheme: dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_the_readmes_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / "README.md").read_text("utf-8"))
    local = [t for t in targets if "://" not in t]
    assert len(local) > 20
    assert [t for t in local if not (ROOT / t).exists()] == []
