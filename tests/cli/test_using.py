"""embed of many, classify, search, evaluate, and the prompts of all senses."""

import json

import numpy as np
import pytest
from PIL import Image

import bindplug


@pytest.fixture
def cache_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("BINDPLUG_HOME", str(tmp_path / "home"))


def test_embed_a_list(run, media, tmp_path):
    lines = [str(media / "cat.wav"), json.dumps({"text": "a dog"}), str(media / "farm.png")]
    (tmp_path / "list").write_text("\n".join(lines))
    result = run("embed", "--list", "list", "-o", "x.npy", "--option", "clips=all")
    assert result.exit_code == 0, result.output
    got = np.load(tmp_path / "x.npy")
    small = bindplug.load_embedder("small", "cpu")
    want = small.embed(audio=str(media / "cat.wav"), clips="all").vectors
    assert got.shape[0] == 3 and np.allclose(got[0], want, atol=1e-5)


def test_embed_keeps_the_order_of_the_prompts(run, media):
    cat = media / "cat.wav"
    result = run("embed", "--text", "a", "--audio", cat, "--text=b", "--video", "absent.mp4")
    assert json.loads(result.stdout)["labels"] == ["a", str(cat), "b"]
    assert result.exit_code == 2 and "absent.mp4: no such file" in result.stderr


def test_embed_by_an_imagebind(run, refused, tmp_path, imagebind_folder):
    """Options and modalities that the small embedder has not."""
    model = ("--model", f"local:{imagebind_folder}")
    walk = np.random.default_rng(0).normal(size=(2400, 6))
    np.savetxt(tmp_path / "walk.csv", walk, delimiter=",")
    found = {}
    for option in ("truncation=current", "truncation=old", "rate=200", "rate=400"):
        what = ("--text", "dog " * 100) if "truncation" in option else ("--imu", "walk.csv")
        result = run("embed", *what, "--option", option, *model)
        assert result.exit_code == 0, result.output
        data = json.loads(result.stdout)
        assert data["space"] == "golden"
        found[option] = data["vectors"][0]
    assert found["truncation=current"] != found["truncation=old"]
    assert found["rate=200"] != found["rate=400"]
    refused("embed", "--text", "a", "--option", "truncation=old", words="text has no option")


def test_embed_names_all_that_cannot_be_read(run, tmp_path):
    (tmp_path / "a.png").write_text("no image")
    result = run("embed", "--image", "a.png", "--image", "b.png", "-o", "x.npy")
    assert result.exit_code == 2 and not (tmp_path / "x.npy").exists()
    assert "a.png" in result.stderr and "b.png: no such file" in result.stderr


def test_embed_refuses(refused):
    refused("embed", "--text", "a", "--option", "clips=3", words="text has: truncation")
    refused("embed", "--list", "absent", words="absent")
    refused("embed", "--list", "absent", "--sense", "smell", words="no modality 'smell'")
    refused("embed", "--depth", "x.png", words="does not embed depth")
    refused("embed", "--text", "a", "--dtype", "int8", words="int8")


def test_shards(run, tmp_path):
    texts = [x for w in ("dog", "cat", "rain") for x in ("--text", w)]
    for shard in ("0/2", "1/2", "0/1"):
        run("embed", *texts, "-o", f"{shard[0]}{shard[2]}.npy", "--shard", shard)
    parts = [np.load(tmp_path / f"{n}.npy") for n in ("02", "12")]
    assert np.allclose(np.concatenate(parts), np.load(tmp_path / "01.npy"), atol=1e-5)
    assert run("embed", *texts, "--shard", "2/2").exit_code == 2


def test_classify(run, refused, media, tmp_path):
    files = [media / "cat.wav", media / "rain.wav"]
    result = run("classify", *files, "--labels", "cat,rain,rooster")
    assert result.exit_code == 0, result.output
    assert [line.split("  ")[1].split()[0] for line in result.stdout.splitlines()] == [
        "cat",
        "rain",
    ]
    data = json.loads(run("classify", *files, "--labels", "cat,rain", "--json", "-").stdout)
    assert sum(data["files"][0]["probabilities"].values()) == pytest.approx(1)
    for name in ("cat", "rain"):
        folder = tmp_path / "examples" / name
        folder.mkdir(parents=True)
        (folder / "a.wav").write_bytes((media / f"{name}.wav").read_bytes())
    result = run("classify", *files, "--examples", "examples")
    assert [line.split("  ")[1].split()[0] for line in result.stdout.splitlines()] == [
        "cat",
        "rain",
    ]
    refused("classify", files[0], words="--labels or --examples")
    two = (files[0], media / "farm.png", "--labels", "a")
    refused("classify", *two, words="cat.wav is audio, ")
    refused("classify", *two, "--labels", "b", words="--labels is given 2 times")
    refused(
        "classify",
        files[0],
        "--labels",
        "a",
        "--option",
        "unit=m",
        words="audio has: channel, clips, normalize",
    )


def test_search(run, refused, media, tmp_path, cache_dir):
    (tmp_path / "p").mkdir()
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (32, 32), colour).save(tmp_path / "p" / f"{colour}.png")
    red, blue = tmp_path / "p" / "red.png", tmp_path / "p" / "blue.png"
    result = run("search", "p", "--image", red, "--image", blue, "--mix", "0.9,0.1")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].endswith("red.png")
    args = ("--image", red, "--audio", media / "cat.wav", "--mix", "0", "--mix", "1", "--json", "-")
    mixed = json.loads(run("search", "p", *args).stdout)
    alone = json.loads(run("search", "p", "--audio", media / "cat.wav", "--json", "-").stdout)
    assert mixed["results"] == alone["results"] and len(alone["results"]) == 3
    refused("search", "p", words="--audio FILE")
    refused("search", "p", "--text", "a", "--mix", "1,2", words="2 weights for 1")
    refused("search", "q", "--text", "a", words="is not a folder")


def test_evaluate(run, media, tmp_path):
    for name in ("cat", "rain"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        (folder / "a.wav").write_bytes((media / f"{name}.wav").read_bytes())
    result = run("evaluate", "classify", "data")
    assert result.exit_code == 0 and "top-1" in result.stdout and "100.00%" in result.stdout
    (tmp_path / "p.csv").write_text("audio,text\ndata/cat/a.wav,a cat\ndata/rain/a.wav,rain\n")
    figures = json.loads(run("evaluate", "retrieve", "p.csv", "--json", "-").stdout)
    assert figures["audio to text R@1"]["value"] == 1


def test_mixtures(run, refused, media, tmp_path):
    cat, rain = media / "cat.wav", media / "rain.wav"
    args = ("--audio", cat, "--text", "a dog", "--mix", "0.7,0.3")
    result = run("detect", media / "garden.png", *args, "--threshold", "0", "--json", "-")
    [image] = json.loads(result.stdout)["images"]
    assert {o["label"] for o in image["objects"]} == {"cat + a dog"}
    only = ("--audio", cat, "--text", "a dog", "--mix=1,0", "--weights", "small")
    mixed = run("detect", media / "garden.png", *only, "--json", "-", "--no-overlay")
    alone = run("detect", media / "garden.png", "--text", "a cat", "--json", "-", "--no-overlay")
    assert mixed.exit_code == alone.exit_code == 0
    result = run("generate", "--audio", rain, "--text", "a tree", "--mix", "0.5,0.5",
                 "--steps", "2")  # fmt: skip
    assert result.exit_code == 0, result.output
    metadata = json.loads((tmp_path / "bindplug-out" / "rain+a-tree_0000.json").read_text())
    assert metadata["mix"] == [0.5, 0.5] and metadata["prompts"][1] == ["text", "a tree"]
    refused("detect", cat, "--text", "a", "--mix", "1,2", "--overwrite", words="2 weights")
    assert run("embed", "--text", "a", "--mix", "1,2").exit_code == 2
