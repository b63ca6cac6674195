"""Every block of README.md and docs/ runs, each page in a folder of its own.

A page's Python shares one namespace, its commands one shell; blocks that start with "# name.py" are
the files that they show, and a TOML with entry points installs them. What the page takes for
granted is in `given` and in documents/workspace.py. Released weights are stand_ins/released.py.
"""

import json
import re
import shutil
import sys
import tomllib
from types import SimpleNamespace

import numpy as np
import pytest
from documents.blocks import ROOT, blocks, name_of, pages
from documents.shell import Shell
from documents.workspace import fill
from stand_ins import live_detic, released

import bindplug
from bindplug_unclip import generator

RUN = {"python", "bash"}
SHOWN = {"toml", "json", "csv", "text"}  # read by their parsers, where they have one
NOT_RUN = {  # the only blocks that are not run, by the reason that their pages give
    "README.md": [".ci/run runs these two lines in a new environment"],
    "docs/mteb.md": ["downloads the data of tasks"] * 2,
    "docs/onnx.md": ["npm needs the network"],
    "docs/ray.md": ["a job takes ten seconds to start; tests/ray runs these"] * 3
    + ["DuckDB is not among the tests' packages"] * 2
    + ["needs a cluster"],
    "docs/serve.md": ["needs a Docker daemon and the network"],
}
NEEDED = {  # packages of extras, by the pages that use them
    "docs/mteb.md": ["mteb"],
    "docs/onnx.md": ["onnx", "onnxscript", "onnxruntime"],
    "docs/ray.md": ["ray.data", "pandas", "pyarrow"],
    "docs/search.md": ["faiss", "lancedb", "pandas", "datasets"],
    "docs/serve.md": ["fastapi", "python_multipart"],
    "docs/training.md": ["peft", "webdataset"],
    "README.md": ["fastapi", "python_multipart"],
}
WRITTEN = {  # by the blocks of a page, among other files
    "README.md": ["out/garden.json", "out/clip.json"],
}
FILE = re.compile(r"# (\w+\.py)\n")


@pytest.fixture(scope="module", autouse=True)
def _released(tmp_path_factory, golden):
    with pytest.MonkeyPatch.context() as patch:
        folders = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("hub")
        released.install(*folders, golden, patch)
        read = generator._metadata
        patch.setattr(generator, "_metadata", lambda folder: quick(read(folder)))
        yield


def quick(settings: dict) -> dict:
    """The small generator's own settings, with fewer steps: nobody looks at these images."""
    return settings | ({"steps": 2} if "steps" in settings else {})


@pytest.fixture(scope="module")
def extras():
    """The extras that setup.py declares."""
    import runpy

    given: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr("setuptools.setup", lambda **settings: given.update(settings))
        runpy.run_path("setup.py")
    return set(given["extras_require"])


@pytest.fixture
def folder(tmp_path, monkeypatch, make_video):
    """The page's folder: the current one, and on the path for its modules and their metadata."""
    before, modules = tmp_path / "page", set(sys.modules)
    before.mkdir()
    fill(before, make_video)
    monkeypatch.chdir(before)
    monkeypatch.syspath_prepend(str(before))
    yield before
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(before)):
            del sys.modules[name]


@pytest.fixture
def shell(folder, extras):
    shell = Shell(folder, extras)
    yield shell
    shell.close()


def given() -> dict:
    """What a reader of a page has already: a Detic in detectron2, a pipeline, an image."""
    import torch

    model = live_detic.Model("buffer").eval()
    columns = torch.nn.functional.normalize(torch.randn(live_detic.WIDTH, 1204), dim=0)
    columns[:, -1] = 0
    for stage in model.roi_heads.box_predictor:
        stage.cls_score.zs_weight = columns
    model.roi_heads.num_classes = 1203

    class Predictor:
        def __init__(self):
            self.model, self.metadata = model, SimpleNamespace(thing_classes=["old"] * 1203)

        def __call__(self, image):
            scores = self.model(torch.randn(4, 16))
            return {"instances": SimpleNamespace(pred_classes=scores.argmax(1))}

    return {
        "predictor": Predictor(),
        "pipe": bindplug.load_generator("unclip", "small", "cpu").pipe,
        "image": np.zeros((48, 64, 3), np.uint8),
        "array": np.random.default_rng(0).normal(size=(6, 1000)),
    }


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_the_blocks_of(page, folder, shell):
    for package in NEEDED.get(name_of(page), ()):
        pytest.importorskip(package, reason="an extra is not installed", exc_type=ImportError)
    names = given()
    for block in blocks(page):
        if block.not_run:
            continue
        try:
            if block.language == "bash":
                if "curl " in block.code and not shutil.which("curl"):
                    pytest.skip(f"{block} needs curl")
                shell.run(block.code)
            elif block.language == "python" and (file := FILE.match(block.code)):
                (folder / file[1]).write_text(block.code)
            elif block.language == "python":
                exec(compile("\n" * block.line + block.code, page, "exec"), names)
            elif block.language == "toml":
                install(tomllib.loads(block.code), folder)
            elif block.language == "json":
                json.loads(block.code)
        except Exception as err:
            raise AssertionError(f"{block}: {type(err).__name__}: {err}") from err
    for name in WRITTEN.get(name_of(page), ()):
        assert (folder / name).is_file(), f"{name_of(page)} wrote no {name}"


def install(settings: dict, folder) -> None:
    """The entry points of a pyproject.toml, as an installed package has them."""
    for group, entries in settings.get("project", {}).get("entry-points", {}).items():
        for name, target in entries.items():
            about = folder / f"{name}-1.0.dist-info"
            about.mkdir()
            (about / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
            (about / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")


def test_every_block_has_a_language():
    found = [block for page in pages() for block in blocks(page)]
    assert len(found) > 50
    assert [str(b) for b in found if b.language not in RUN | SHOWN] == []


def test_no_fence_is_missed():
    for page in pages():
        fences = len(re.findall(r"^\s*```", page.read_text("utf-8"), re.MULTILINE))
        assert fences == 2 * len(blocks(page)), f"{name_of(page)}: an indented or unclosed fence"


def test_what_is_not_run_is_known():
    found = {}
    for page in pages():
        for block in blocks(page):
            if block.language in RUN and block.not_run:
                found.setdefault(name_of(page), []).append(block.not_run)
    assert found == NOT_RUN
