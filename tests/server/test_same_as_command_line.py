"""What the server answers is what the command line says of the same files."""

import io
import json
import shutil
from urllib.parse import unquote

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bindplug.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch, media):
    """Call the command line in a folder with the shipped sounds and scenes."""
    for path in media.iterdir():
        shutil.copy(path, tmp_path / path.name)
    monkeypatch.chdir(tmp_path)

    def call(*args):
        result = CliRunner().invoke(main, [str(a) for a in args])
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


def answer(response):
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize(
    ("flags", "parts", "fields"),
    [
        (["--audio", "dog.wav"], ["audio=dog.wav"], {}),
        (["--audio", "dog.wav", "--text", "a cat"], ["audio=dog.wav"], {"text": "a cat"}),
        (["--audio", "dog.wav", "--audio", "cat.wav", "--mix", "0.7,0.3"],
         ["audio=dog.wav", "audio=cat.wav"], {"mix": "0.7,0.3"}),
        (["--audio", "dog.wav", "--negative-audio", "cat.wav", "--negative-text", "a duck",
          "--threshold", "0.05"], ["audio=dog.wav", "negative_audio=cat.wav"],
         {"negative_text": "a duck", "threshold": "0.05"}),
        (["--text", "dog", "--bridge", "linear", "--competition", "none", "--top-k", "2"], [],
         {"text": "dog", "bridge": "linear", "competition": "none", "top_k": "2"}),
        (["--text", "dog", "--vocabulary", "lvis"], [], {"text": "dog", "vocabulary": "lvis"}),
        (["--vocabulary", "lvis"], [], {"vocabulary": "lvis"}),
        (["--audio", "dog.wav", "--option", "clips=2"], ["audio=dog.wav"], {"option": "clips=2"}),
        (["--image", "garden.png", "--threshold", "0.01"], ["image=garden.png"],
         {"threshold": "0.01"}),
    ],
)  # fmt: skip
def test_detect(flags, parts, fields, run, client, files):
    wanted = json.loads(run("detect", "garden.png", *flags, "--no-overlay", "--json", "-"))
    texts = [(name, (None, value)) for name, value in fields.items()]  # after the files
    parts = [*files("images=garden.png", *parts), *texts]
    got = answer(client.post("/v1/detect", files=parts))
    assert got.pop("heard") is not None
    assert got == wanted
    assert wanted["images"][0]["objects"]


def test_detect_in_several_images_with_coco(run, client, files):
    flags = ("--audio", "dog.wav", "--no-overlay", "--json", "all.json", "--coco", "-")
    wanted = json.loads(run("detect", "garden.png", "farm.png", *flags))
    parts = files("images=garden.png", "images=farm.png", "audio=dog.wav")
    got = answer(client.post("/v1/detect", files=parts, data={"coco": "true"}))
    assert got["coco"] == wanted and wanted
    assert [i["image"] for i in got["images"]] == ["garden.png", "farm.png"]


def test_overlay(run, client, files):
    run("detect", "garden.png", "--audio", "dog.wav", "-o", "out")
    parts = files("images=garden.png", "audio=dog.wav")
    got = answer(client.post("/v1/detect", files=parts, data={"overlay": "true"}))
    linked = client.get(got["images"][0]["overlay"])
    assert linked.headers["content-type"] == "image/png"
    with Image.open("out/garden.png") as wanted, Image.open(io.BytesIO(linked.content)) as found:
        assert np.array_equal(np.asarray(wanted), np.asarray(found))
    data = {"overlay": "true", "inline": "true"}
    got = answer(client.post("/v1/detect", files=parts, data=data))
    assert got["images"][0]["overlay"].startswith("data:image/png;base64,")


def test_embed(run, client, files, in_json):
    wanted = json.loads(
        run("embed", "--audio", "dog.wav", "--text", "a dog", "--image", "farm.png")
    )
    parts = [*files("audio=dog.wav"), ("text", (None, "a dog")), *files("image=farm.png")]
    got = answer(client.post("/v1/embed", files=parts))
    assert got["labels"] == wanted["labels"] and got["space"] == wanted["space"]
    assert np.allclose(got["vectors"], wanted["vectors"], atol=2e-6)
    data = {"audio": in_json("dog.wav"), "text": ["a dog"], "image": in_json("farm.png")["data"]}
    again = answer(client.post("/v1/embed", json=data))
    assert np.allclose(again["vectors"], wanted["vectors"], atol=2e-6)
    assert again["labels"] == ["dog.wav", "a dog", "image 0"]
    raw = client.post("/v1/embed", json={**data, "format": "npy"})
    rows = np.load(io.BytesIO(raw.content), allow_pickle=False)
    assert rows.dtype == np.float32 and np.allclose(rows, wanted["vectors"], atol=2e-6)


def test_embed_of_arrays(client, media):
    import soundfile

    wave, rate = soundfile.read(media / "dog.wav", dtype="float32")
    file = io.BytesIO()
    np.save(file, wave)
    of_file = answer(client.post("/v1/embed", files={"audio": (media / "dog.wav").read_bytes()}))
    parts = {"audio": ("dog.npy", file.getvalue())}
    of_array = answer(client.post("/v1/embed", files=parts, data={"rate": rate}))
    assert np.allclose(of_array["vectors"], of_file["vectors"], atol=2e-6)
    response = client.post("/v1/embed", files=parts)
    assert response.status_code == 400 and "the field rate" in response.json()["error"]
    pixels = np.asarray(Image.open(media / "farm.png").convert("RGB"))
    file = io.BytesIO()
    np.save(file, np.asfortranarray(pixels))
    got = answer(client.post("/v1/embed", files={"image": ("farm.npy", file.getvalue())}))
    wanted = answer(client.post("/v1/embed", files={"image": (media / "farm.png").read_bytes()}))
    assert np.allclose(got["vectors"], wanted["vectors"], atol=2e-6)


def test_classify(run, client, files):
    flags = ("--labels", "dog,cat,rain", "--json", "-", "dog.wav", "cat.wav")
    wanted = json.loads(run("classify", *flags))
    parts = files("files=dog.wav", "files=cat.wav")
    got = answer(client.post("/v1/classify", files=parts, data={"labels": "dog,cat,rain"}))
    again = answer(client.post("/v1/classify", files=files("audio=dog.wav", "audio=cat.wav"),
                               data={"labels": ["dog", "cat", "rain"], "top_k": "1"}))  # fmt: skip
    for one, other, short in zip(got["files"], wanted["files"], again["files"], strict=True):
        assert one["file"] == other["file"]
        assert list(one["probabilities"]) == list(other["probabilities"])
        assert np.allclose(*(list(x["probabilities"].values()) for x in (one, other)), atol=1e-4)
        assert list(short["probabilities"]) == list(one["probabilities"])[:1]


def test_classify_by_examples(run, client, media, tmp_path):
    names = {"dog/1.wav": "dog.wav", "dog/2.wav": "horse.wav", "rain/1.wav": "rain.wav"}
    for name, source in names.items():
        path = tmp_path / "shots" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(media / source, path)
    wanted = json.loads(run("classify", "--examples", "shots", "--json", "-", "cat.wav"))
    parts = [("examples", (name, (media / source).read_bytes())) for name, source in names.items()]
    parts.append(("files", ("cat.wav", (media / "cat.wav").read_bytes())))
    got = answer(client.post("/v1/classify", files=parts))
    pairs = got["files"][0]["probabilities"], wanted["files"][0]["probabilities"]
    assert np.allclose(*(list(p.values()) for p in pairs), atol=1e-3)


def test_explain(run, client, files):
    wanted = json.loads(run("bridge", "explain", "--audio", "dog.wav", "--text", "a cat",
                            "--json", "-"))  # fmt: skip
    parts = [*files("audio=dog.wav"), ("text", (None, "a cat"))]
    got = answer(client.post("/v1/explain", files=parts))
    for one, other in zip(got, wanted, strict=True):
        assert one["prompt"] == other["prompt"] and list(one["words"]) == list(other["words"])
        assert np.allclose(*(list(x["words"].values()) for x in (one, other)), atol=1e-4)
    own = client.post("/v1/explain", json={"text": "a cat", "vocabulary": ["cat", "car", "cow"]})
    assert next(iter(answer(own)[0]["words"])) == "cat"


def test_generate(run, client, files, tmp_path):
    flags = ("--num-images", "2", "--seed", "3", "--candidates", "2", "--steps", "4")
    run("generate", "--audio", "rain.wav", *flags, "-o", ".")
    data = {"num_images": "2", "seed": "3", "candidates": "2", "steps": "4",
            "show_candidates": "true"}  # fmt: skip
    got = answer(client.post("/v1/generate", files=files("audio=rain.wav"), data=data))
    for entry in got["images"]:
        content = client.get(entry["png"]).content
        wanted = Image.open(tmp_path / entry["image"])
        found = Image.open(io.BytesIO(content))
        assert np.array_equal(np.asarray(found), np.asarray(wanted))
        assert json.loads(wanted.text["bindplug:job"]) == json.loads(found.text["bindplug:job"])
        cosines = [c["cosine"] for c in entry["candidates"]]
        assert [c["kept"] for c in entry["candidates"]] == [c == max(cosines) for c in cosines]
    # What was downloaded beside the sound can be generated again.
    (tmp_path / "web.png").write_bytes(client.get(got["images"][1]["png"]).content)
    run("generate", "--like", "web.png", "-o", "again")
    again = Image.open(tmp_path / "again" / "web.png")
    assert np.array_equal(np.asarray(again), np.asarray(found))


@pytest.mark.parametrize(
    ("prompts", "names"),
    [
        (["audio=dog.wav", "text=A tree, by the sea!"], ["dog_0000", "a-tree--by-the-sea_0000"]),
        (["audio=dog.wav", "text=A tree", "mix=0.5,0.5"], ["dog+a-tree_0000"]),
        (["audio=dog.wav", "audio=dog.wav", "text=Dog"], ["dog_0000", "dog_2_0000", "dog_3_0000"]),
        (["morph=cat.wav", "morph=dog.wav", "frames=2"], ["cat-dog"]),
    ],
)
def test_names_of_generated_images(prompts, names, run, client, files, tmp_path):
    pairs = [tuple(prompt.split("=")) for prompt in prompts]
    flags = [word for name, value in pairs if name != "morph" for word in (f"--{name}", value)]
    morph = [value for name, value in pairs if name == "morph"]
    flags += ["--morph", *morph] if morph else ["--candidates", "1"]
    run("generate", *flags, "--steps", "1", "-o", "out")
    ending = ".gif" if morph else ".png"
    wanted = {p.name for p in (tmp_path / "out").iterdir() if p.suffix == ending}
    assert wanted == {name + ending for name in names}
    parts = [
        part
        for name, value in pairs
        for part in (
            files(f"{name}={value}") if value.endswith(".wav") else [(name, (None, value))]
        )
    ]
    parts += [("steps", (None, "1")), ("candidates", (None, "1"))]
    got = answer(client.post("/v1/generate", files=parts))
    links = [got["gif"]] if morph else [image["png"] for image in got["images"]]
    assert [unquote(link.rpartition("/")[2]) for link in links] == [n + ending for n in names]
    assert morph or [image["image"] for image in got["images"]] == [n + ending for n in names]


def test_morph(client, files):
    data = {"frames": "3", "steps": "2"}
    got = answer(client.post("/v1/generate", files=files("morph=cat.wav", "morph=dog.wav"),
                             data=data))  # fmt: skip
    assert Image.open(io.BytesIO(client.get(got["gif"]).content)).n_frames == 3
    assert client.get(got["mp4"]).content[4:8] == b"ftyp"


def test_video(run, client, make_video, tmp_path):
    path = make_video("green", seconds=1, tone=440, name="clip.mp4")
    run("detect", "--video", "clip.mp4", "--threshold", "0.01", "-o", "out")
    wanted = json.loads((tmp_path / "out" / "clip.json").read_text())
    with open(path, "rb") as file:
        got = answer(client.post("/v1/detect", files={"video": ("clip.mp4", file)},
                                 data={"threshold": "0.01"}))  # fmt: skip
    assert client.get(got.pop("annotated")).content[4:8] == b"ftyp"
    assert got == wanted
