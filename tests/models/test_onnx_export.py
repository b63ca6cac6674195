"""`bindplug export`: what it writes, and what it refuses."""

import hashlib
import json
import os

import numpy as np
import pytest
import torch

from bindplug import BindplugError, Embedder, export_onnx, load_embedder
from bindplug.errors import FileExists
from bindplug.models.onnx import export
from bindplug.plugins import Network

onnx = pytest.importorskip("onnx", reason="the extra [onnx] is not installed")


class Halves(Network):
    """Lists of 4 numbers; what a row gives is decided by `forward`."""

    modalities = ("text",)

    def __init__(self, forward):
        self.forward, self.weight = forward, torch.eye(4, 6) + 0.1

    def transform(self, modality, item, **options):
        return torch.tensor([[float(len(item)), 1.0, -2.0, ord(item[0]) / 100]]), ()

    def options(self, modality):
        return ()

    def encode(self, modality, clips):
        return self.forward(clips) @ self.weight

    def logit_scale(self, modality):
        return 3.0

    def to(self, device):
        return self

    def cast(self, dtype):
        return self


def test_the_manifest_says_what_the_graphs_are(small_onnx):
    manifest = json.loads((small_onnx / "manifest.json").read_text())
    assert (manifest["space"], manifest["width"]) == ("small", 256)
    assert manifest["source"]["model"] == "small" and manifest["source"]["fingerprint"]
    assert "CC BY 4.0" in manifest["licence"] and "ATTRIBUTION.txt" in manifest["notices"]
    there = {p.name for p in small_onnx.iterdir()} - {"manifest.json"}
    assert there == set(manifest["files"])
    for name, of in manifest["files"].items():
        data = (small_onnx / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (of["bytes"], of["sha256"])
        assert str(export.__file__).encode() not in data  # no path of this machine
    image = manifest["encoders"]["image"]
    assert image["transform"] == {"name": "small/image", "settings": {"size": 224}}
    assert manifest["encoders"]["text"]["logit_scale"] == pytest.approx(20)
    assert 0 < image["largest_difference"] < 1e-5
    for encoder in manifest["encoders"].values():
        graph = onnx.load(small_onnx / encoder["graph"]).graph
        for side, put in (("input", graph.input), ("output", graph.output)):
            [value], told = put, encoder[side]
            dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
            kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            assert (value.name, dims, str(kind)) == (told["name"], told["shape"], told["dtype"])


def test_any_network_that_exports(tmp_path):
    """By an embedder, whose network's transform only it can do."""
    given = Embedder(Halves(lambda x: x * 2), "halves")
    manifest = export_onnx(given, tmp_path / "out")
    assert manifest.encoders["text"].transform["name"] == "source"
    found = load_embedder(f"onnx:{tmp_path / 'out'}")
    clips = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    wanted = torch.nn.functional.normalize(given.network.encode("text", clips), dim=-1)
    assert np.abs(found.network.encode("text", clips) - wanted.numpy()).max() < 1e-6
    with pytest.raises(BindplugError, match="an embedder without a name"):
        found.embed(text="a")


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda x: x if float(x.sum()) > 0 else -x, "cannot be exported to ONNX: "),
        (
            lambda x: x * torch.arange(len(x))[:, None] + 1,
            "halves: its text encoder fixes the batch",
        ),
        (lambda x: x.mean(0) * torch.ones(3, 4), "fixes the batch size"),
        (lambda x: x * float("nan"), "differ by nan"),
    ],
    ids=["decides by data", "counts the batch", "freezes the batch", "nan"],
)
def test_what_does_not_export_is_refused(forward, words, tmp_path):
    with pytest.raises(BindplugError, match=words):
        export_onnx(Embedder(Halves(forward), "halves"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_large_weights_go_to_a_file_beside_the_graph(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "EMBEDDED", 10)
    manifest = export_onnx("small", tmp_path / "out", ["text"])
    assert "text.onnx.data" in manifest.encoders["text"].files
    assert (tmp_path / "out" / "text.onnx").stat().st_size < 1e5
    found = load_embedder(f"onnx:{tmp_path / 'out'}").embed(text="a dog").vectors
    assert np.abs(found - load_embedder("small", "cpu").embed(text="a dog").vectors).max() < 1e-5
    data = tmp_path / "out" / "text.onnx.data"
    data.write_bytes(data.read_bytes()[:-4] + b"1234")
    with pytest.raises(BindplugError, match=r"onnx\.data: is not the file that was exported"):
        load_embedder(f"onnx:{tmp_path / 'out'}").embed(text="a dog")


def test_what_is_there_is_not_lost(small_onnx, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.txt").write_text("mine")
    with pytest.raises(BindplugError, match="not a folder that export wrote"):
        export_onnx("small", own, ["text"], overwrite=True)
    out = tmp_path / "out"
    given = Embedder(Halves(lambda x: x * 2), "halves")
    export_onnx(given, out)
    with pytest.raises(FileExists):
        export_onnx(given, out)
    before = (out / "manifest.json").read_bytes()
    with pytest.raises(BindplugError):
        export_onnx(Embedder(Halves(lambda x: x * float("nan")), "halves"), out, overwrite=True)
    assert (out / "manifest.json").read_bytes() == before
    export_onnx(Embedder(Halves(lambda x: x), "other"), out, overwrite=True)
    assert json.loads((out / "manifest.json").read_text())["space"] == "other"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "own"]


def test_only_an_export_is_replaced(tmp_path, monkeypatch):
    given = Embedder(Halves(lambda x: x), "halves")
    project = tmp_path / "project"
    project.mkdir()
    (project / "manifest.json").write_text('{"name": "a web page"}')
    with pytest.raises(BindplugError, match="not a folder that export wrote"):
        export_onnx(given, project, overwrite=True)
    out = tmp_path / "out"
    export_onnx(given, out)
    (out / "node_modules").mkdir()
    with pytest.raises(BindplugError, match="holds node_modules, which is not as export wrote it"):
        export_onnx(given, out, overwrite=True)
    (out / "node_modules").rmdir()
    graph = (out / "text.onnx").read_bytes()
    (out / "text.onnx").write_bytes(graph + b"mine")
    with pytest.raises(BindplugError, match=r"holds text\.onnx, which is not as export wrote it"):
        export_onnx(given, out, overwrite=True)
    (out / "text.onnx").write_bytes(graph)
    replace = os.replace

    def fails(source, target):
        if str(source).endswith(".part") and str(target).endswith("out"):
            raise OSError(5, "Input/output error")
        replace(source, target)

    before = (out / "manifest.json").read_bytes()
    other = Embedder(Halves(lambda x: x), "other")
    with monkeypatch.context() as patch:
        patch.setattr(export.os, "replace", fails)
        with pytest.raises(BindplugError, match="cannot be written"):
            export_onnx(other, out, overwrite=True)
    assert (out / "manifest.json").read_bytes() == before
    late = tmp_path / "late"

    def made_meanwhile(x):
        late.mkdir(exist_ok=True)
        (late / "thesis.txt").write_text("mine")
        return x

    with pytest.raises(BindplugError, match="not a folder that export wrote"):
        export_onnx(Embedder(Halves(made_meanwhile), "late"), late)
    assert (late / "thesis.txt").read_text() == "mine"
    (late / "thesis.txt").unlink()
    late.rmdir()
    (tmp_path / "link").symlink_to("out")
    export_onnx(other, tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert json.loads((out / "manifest.json").read_text())["space"] == "other"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "out", "project"]
    monkeypatch.chdir(out)
    with pytest.raises(BindplugError, match="is or holds the current folder"):
        export_onnx(given, ".", overwrite=True)


def test_wrong_models_and_modalities(small_onnx, tmp_path):
    with pytest.raises(BindplugError, match="no modality 'smell'"):
        export_onnx("small", tmp_path / "x", ["smell"])
    with pytest.raises(BindplugError, match="no torch network"):
        export_onnx(f"onnx:{small_onnx}", tmp_path / "x")
    with pytest.raises(BindplugError, match="no embedder 'nothing'"):
        export_onnx("nothing", tmp_path / "x")
    with pytest.raises(BindplugError, match="float32 on the CPU"):
        export_onnx(load_embedder("small", "cpu", dtype="bfloat16"), tmp_path / "x")
