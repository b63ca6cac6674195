"""What is built of the sources, what it holds, and that it works where it is installed."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from documents.blocks import ROOT

from bindplug.cli.serve import serve

BUILD = "import setuptools.build_meta as b; b.build_sdist({0!r}); b.build_wheel({0!r})"
HELD = [  # files that are no Python, of each kind
    "bindplug/bridge/vocabularies/sounding.txt",
    "bindplug/models/catalogue.json",
    "bindplug/models/small/CARD.md",
    "bindplug/models/small/model.safetensors",
    "bindplug/py.typed",
    "bindplug/server/page.html",
    "bindplug_detic/catalogue.json",
    "bindplug_detic/py.typed",
    "bindplug_detic/small/clip/model.safetensors",
    "bindplug_detic/small/model.safetensors",
    "bindplug_unclip/hub.json",
    "bindplug_unclip/small/memory.safetensors",
    "bindplug_unclip/small/unet/diffusion_pytorch_model.safetensors",
]


def run(*command, **settings) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the wheel and the sdist, built of a copy with the installed setuptools."""
    setuptools = pytest.importorskip("setuptools")
    if tuple(map(int, setuptools.__version__.split(".")[:2])) < (70, 1):
        pytest.skip("setuptools before 70.1 builds no wheels by itself")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("bindplug", "plugins"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    shutil.copytree(ROOT / "examples" / "media", source / "examples" / "media")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-c", BUILD.format(str(out)), cwd=source)
    return out


@pytest.fixture(scope="module")
def wheel(built):
    [path] = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def sdist(built):
    [path] = built.glob("*.tar.gz")
    return path


def test_contents(wheel, sdist):
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    media = {f"bindplug/media/{p.name}" for p in (ROOT / "examples" / "media").iterdir()}
    modules = {
        path.relative_to(base).as_posix()
        for base in (ROOT, ROOT / "plugins")
        for path in base.glob("bindplug*/**/*.py")
    }
    assert media | modules | set(HELD) <= inside
    assert {name.split("/")[0] for name in inside if ".dist-info" not in name} == {
        "bindplug", *(p.name for p in (ROOT / "plugins").glob("bindplug_*"))
    }  # fmt: skip
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    for name in HELD:
        assert (name if name.startswith("bindplug/") else f"plugins/{name}") in sources
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE"} <= sources


def test_nothing_more_is_required(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    required = [line for line in lines if line.startswith("Requires-Dist") and "extra" not in line]
    assert len(required) == 17
    extras = {line.split()[1] for line in lines if line.startswith("Provides-Extra")}
    assert {"serve", "train", "docs", "test"} <= extras


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_installed(kind, request, tmp_path, media):
    """In a folder of its own, with what it requires from here: found, and used."""
    site = tmp_path / "site"
    archive = request.getfixturevalue(kind)
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
        "--no-build-isolation", "--target", site, archive)  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(site)}

    def bindplug(*args):
        return run(sys.executable, "-m", "bindplug", *args, cwd=tmp_path, env=env)

    where = run(sys.executable, "-c", "import bindplug, bindplug_detic as d; "
                "print(bindplug.__file__, d.__file__)", cwd=tmp_path, env=env)  # fmt: skip
    assert where.count(str(site)) == 2
    names = {row["name"] for row in json.loads(bindplug("plugins", "--json"))}
    assert {"small", "detic", "unclip", "owl", "gdino", "sam"} <= names
    found = bindplug("detect", "--audio", media / "cat.wav", media / "chelsea.png", "--json", "-")
    assert json.loads(found)["images"][0]["objects"]


@pytest.fixture(scope="module")
def dockerfile():
    """The instructions of the Dockerfile, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines]


def test_the_container_starts_serve(dockerfile):
    [entry] = [json.loads(rest) for word, rest in dockerfile if word == "ENTRYPOINT"]
    assert entry[:2] == ["bindplug", "serve"]
    given = serve.make_context("serve", entry[2:]).params
    assert given["host"] == "0.0.0.0"
    assert ("EXPOSE", str(given["port"])) in dockerfile
    [check] = [rest for word, rest in dockerfile if word == "HEALTHCHECK"]
    code = json.loads(check[check.index("[") :])[2]
    compile(code, "HEALTHCHECK", "exec")
    address = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", code)
    assert int(address[1]) == given["port"] and address[2] == "/health"


def test_the_container_is_made_of_what_is_there(dockerfile):
    words = [word for word, _ in dockerfile]
    known = {"FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE",
             "HEALTHCHECK", "ENTRYPOINT"}  # fmt: skip
    assert set(words) <= known and words[0] == "FROM" and words.index("USER") > words.index("RUN")
    text = "\n".join(rest for _, rest in dockerfile)
    for name in (rest.partition("=")[0] for word, rest in dockerfile if word == "ARG"):
        assert f"${{{name}" in text or f"${name}" in text
    assert 'pip install ".[serve]"' in text
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    for name in ("bindplug", "plugins", "examples/media", "setup.py", "README.md", "LICENSE"):
        assert not any(Path(name).match(pattern) for pattern in ignored)


def test_citation():
    yaml = pytest.importorskip("yaml")
    cite = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cite)
    [paper] = cite["references"]
    assert paper["identifiers"][0]["value"] == "arXiv:2305.05665" and len(paper["authors"]) == 7
    setup = (ROOT / "setup.py").read_text("utf-8")
    assert f'version="{cite["version"]}"' in setup and f'license="{cite["license"]}"' in setup
    assert f"## [{cite['version']}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
