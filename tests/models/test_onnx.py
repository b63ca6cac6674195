"""Exported folders as embedders: the same vectors as torch's on real files, without torch."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import bindplug
from bindplug import BindplugError, fit_bridge, load_embedder
from bindplug.embedding.index import index_folder
from bindplug.models.load import load_beside

pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
FILES = {"image": ("farm.png", "rocket.jpg"), "audio": ("dog.wav", "rain.wav")}
TEXTS = ["a dog barks", "The sea’s waves, at night", "rain"]


@pytest.fixture(scope="module")
def golden_onnx(imagebind_folder, tmp_path_factory):
    """The golden ImageBind, exported: three modalities read by NumPy and one by torch."""
    folder = tmp_path_factory.mktemp("onnx") / "golden"
    modalities = ("text", "audio", "image", "imu")
    bindplug.export_onnx(f"local:{imagebind_folder}", folder, modalities)
    return folder


@pytest.fixture(scope="module")
def pairs(small_onnx, golden_onnx, imagebind_folder):
    """By name: the embedder on onnxruntime, and torch's."""
    return {
        "small": (load_embedder(f"onnx:{small_onnx}"), load_embedder("small", "cpu")),
        "golden": (
            load_embedder(f"onnx:{golden_onnx}"),
            load_embedder(f"local:{imagebind_folder}", "cpu"),
        ),
    }


@pytest.fixture
def copy(small_onnx, tmp_path):
    """A copy of the exported small embedder to damage."""
    return shutil.copytree(small_onnx, tmp_path / "copy")


def inputs(modality, media):
    if modality == "imu":
        return [(np.random.default_rng(0).normal(size=(6, 4000)).astype(np.float32), 400)]
    return TEXTS if modality == "text" else [str(media / name) for name in FILES[modality]]


@pytest.mark.parametrize("model", ["small", "golden"])
@pytest.mark.parametrize("modality", ["text", "image", "audio", "imu"])
def test_equal_to_torch_on_real_files(model, modality, pairs, media):
    ours, torchs = pairs[model]
    if modality not in ours.modalities:
        pytest.skip("small has no such tower")
    given = {modality: inputs(modality, media)}
    found, wanted = ours.embed(**given), torchs.embed(**given)
    assert np.abs(found.vectors - wanted.vectors).max() < 1e-5
    assert (found.space, found.labels, found.times) == (wanted.space, wanted.labels, wanted.times)
    assert ours.options(modality) == torchs.options(modality)
    assert ours.logit_scale(modality) == pytest.approx(torchs.logit_scale(modality))
    assert ours.templates == torchs.templates
    each, wanted = (e.embed(average=False, **given) for e in pairs[model])
    assert each.vectors.shape == wanted.vectors.shape
    assert np.abs(each.vectors - wanted.vectors).max() < 1e-5


@pytest.mark.parametrize("model", ["small", "golden"])
@pytest.mark.parametrize("batch", [1, 2, 5, 16])
def test_any_batch_size(model, batch, pairs):
    ours, torchs = pairs[model]
    rng = np.random.default_rng(batch)
    for modality, encoder in ours.network.manifest.encoders.items():
        shape = (batch, *encoder.input["shape"][1:])
        if encoder.input["dtype"] == "int64":
            clips = rng.integers(1, 100, shape)
        else:
            clips = rng.normal(size=shape).astype(np.float32)
        with torch.inference_mode():
            wanted = torchs.network.encode(modality, torch.from_numpy(clips)).numpy()
        wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
        found = ours.network.encode(modality, clips)
        assert found.shape == wanted.shape and np.abs(found - wanted).max() < 1e-5, modality


def test_options_mean_the_same(pairs, media):
    sound = str(media / "rain.wav")
    for ours, torchs in pairs.values():
        for options in ({"clips": 2}, {"normalize": "none", "channel": "loudest"}):
            found, wanted = (e.embed(audio=sound, **options) for e in (ours, torchs))
            assert np.abs(found.vectors - wanted.vectors).max() < 1e-5
            assert found.times == wanted.times
    ours, torchs = pairs["golden"]
    long = "word " * 90
    for truncation in ("current", "old"):
        found, wanted = (e.embed(text=long, truncation=truncation) for e in (ours, torchs))
        assert np.abs(found.vectors - wanted.vectors).max() < 1e-5


CODE = """
import sys
import bindplug
small, golden = (bindplug.load_embedder("onnx:" + name) for name in sys.argv[1:3])
for embedder in (small, golden):
    a = embedder.embed(text=["a dog", "the sea"])
    b = embedder.embed(image=sys.argv[3])
    c = embedder.embed(audio=sys.argv[4])
    bindplug.compose([(a[0], 0.5), (b, 0.5)])
    assert len(a) == 2 and len(b) == len(c) == 1
print("heavy:", *{"torch", "torchvision", "open_clip", "transformers"} & set(sys.modules))
"""


def test_torch_is_not_imported(small_onnx, golden_onnx, media):
    args = [small_onnx, golden_onnx, media / "farm.png", media / "dog.wav"]
    run = subprocess.run([sys.executable, "-c", CODE, *map(str, args)], capture_output=True,
                         text=True)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "heavy:"


def test_bridges_and_searches_cross_over(pairs, media, tmp_path, monkeypatch):
    monkeypatch.setenv("BINDPLUG_HOME", str(tmp_path))
    ours, torchs = pairs["small"]
    bridge = fit_bridge("vocabulary", ours, "small-clip", ["dog", "rain", "horse"])
    other = fit_bridge("vocabulary", torchs, "small-clip", ["dog", "rain", "horse"])
    sound = ours.embed(audio=str(media / "horse.wav"))
    assert np.abs(bridge(sound).vectors - other(sound).vectors).max() < 1e-4
    assert bridge.explain(sound)[0][0][0] == "horse"
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("farm.png", "rocket.jpg", "coffee.png"):
        shutil.copy(media / name, folder)
    index = index_folder(ours, folder)
    [(path, cosine), *_] = index.search(torchs.embed(image=str(media / "rocket.jpg")))[0]
    assert path.endswith("rocket.jpg") and cosine == pytest.approx(1, abs=1e-5)


def test_what_it_lacks_is_refused(small_onnx, media):
    name = f"onnx:{small_onnx}"
    for settings, words in (
        ({"device": "cuda"}, "runs on the CPU"),
        ({"dtype": "float16"}, "float32"),
        ({"compile": True}, "leave compile out"),
    ):
        with pytest.raises(BindplugError, match=words):
            load_embedder(name, **settings)
    embedder = load_embedder(name)
    with pytest.raises(BindplugError, match="does not embed depth"):
        embedder.embed(depth=np.ones((4, 4)))
    with pytest.raises(BindplugError, match="no option 'clips'"):
        embedder.embed(image=str(media / "farm.png"), clips=3)
    with pytest.raises(BindplugError, match=r"manifest\.json: cannot be read"):
        load_embedder("onnx:nowhere")


def test_a_changed_file_is_found_out(copy):
    data = bytearray((copy / "text.onnx").read_bytes())
    data[-1] ^= 1
    (copy / "text.onnx").write_bytes(data)
    embedder = load_embedder(f"onnx:{copy}")
    with pytest.raises(BindplugError, match=r"text\.onnx: is not the file that was exported"):
        embedder.embed(text="a dog")
    (copy / "text.safetensors").unlink()
    with pytest.raises(BindplugError, match=r"text\.safetensors: is missing"):
        load_embedder(f"onnx:{copy}").embed(text="a dog")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("encoders"), "encoders"),
        (lambda m: m.update(schema=9), "schema is 9"),
        (lambda m: m["files"].update({"../x": {}}), "not a file of the folder"),
        (lambda m: m["files"].pop("text.onnx"), "its files are needed"),
        (lambda m: m["encoders"]["text"].update(more=1), "more"),
        (lambda m: m["encoders"]["text"].update(input={}), "manifest of"),
        (lambda m: m["encoders"]["text"].update(files=[]), "its files are needed"),
        (lambda m: m["encoders"]["text"].update(transform=[]), "manifest of"),
        (lambda m: m.update(width=7), "not of that width"),
        (lambda m: m["encoders"]["text"]["input"].update(shape=5), "name, shape and dtype"),
        (lambda m: m["encoders"]["text"].update(logit_scale="3"), "logit_scale is a number"),
        (lambda m: m["encoders"].update(smell=m["encoders"]["text"]), "no modality 'smell'"),
        (lambda m: m.update(templates="a {}"), "templates are a list"),
        (lambda m: m.update(source={}), "model"),
    ],
)
def test_a_wrong_manifest_is_refused(change, words, copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(BindplugError, match=words):
        load_embedder(f"onnx:{copy}")


def test_a_graph_without_that_input_is_named(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["encoders"]["text"]["input"]["name"] = "other"
    path.write_text(json.dumps(manifest))
    with pytest.raises(BindplugError, match=r"text\.onnx: fails in onnxruntime"):
        load_embedder(f"onnx:{copy}").embed(text="a dog")


def test_beside_models_on_a_gpu_it_stays_on_the_cpu(small_onnx):
    name = f"onnx:{small_onnx}"
    assert load_beside(name, "cuda").embed(text="a dog").vectors.shape == (1, 256)


def test_the_fingerprint_is_of_the_content(small_onnx, copy):
    one, same = (load_embedder(f"onnx:{folder}") for folder in (small_onnx, copy))
    assert one.fingerprint == same.fingerprint != load_embedder("small", "cpu").fingerprint
    with (copy / "manifest.json").open("a") as file:
        file.write("\n")
    assert load_embedder(f"onnx:{copy}").fingerprint != one.fingerprint


def test_transforms_of_the_source_need_the_source(golden_onnx, tmp_path):
    folder = shutil.copytree(golden_onnx, tmp_path / "moved")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["encoders"]["imu"]["transform"]["name"] == "source"
    manifest["source"]["model"] = f"local:{tmp_path / 'gone'}"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    embedder = load_embedder(f"onnx:{folder}")
    assert len(embedder.embed(text="a dog")) == 1
    with pytest.raises(BindplugError, match=r"read by the transforms of 'local:.*gone'"):
        embedder.embed(imu=(np.zeros((6, 4000), np.float32), 400))


def test_a_source_that_reads_otherwise_is_refused(golden_onnx, tmp_path):
    folder = shutil.copytree(golden_onnx, tmp_path / "moved")
    motion = {"imu": (np.ones((6, 4000), np.float32), 400)}
    assert len(load_embedder(f"onnx:{folder}").embed(**motion)) == 1  # the same, elsewhere
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["encoders"]["imu"]["transform"]["settings"]["sample"].reverse()
    path.write_text(json.dumps(manifest))
    with pytest.raises(BindplugError, match="gives other results than"):
        load_embedder(f"onnx:{folder}").embed(**motion)
