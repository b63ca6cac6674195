"""Option values: mixtures, modalities, templates, thresholds, transform options, text files."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import bindplug
from bindplug.cli import main
from bindplug.embedding.options import read_options
from bindplug.errors import BindplugError
from bindplug.storage.text_file import read_text


@pytest.mark.parametrize("name", ["search", "detect", "generate"])
@pytest.mark.parametrize(
    "spelling", [["--weights", "0.7", "0.3"], ["--weights=0.7"], ["--weights=0.7,0.3"],
                 ["--weights=0.7", "--weights=0.3"], ["--weights", "-1"]]
)  # fmt: skip
def test_the_old_spelling_of_a_mixture(name, spelling, refused, media):
    files = [media / "farm.png"] * (name == "detect") + [media] * (name == "search")
    refused(name, *files, "--text", "a", "--text", "b", *spelling, words="--mix 0.7,0.3")


@pytest.mark.parametrize("mix", ["nan,1", "1,inf", "1;2", "a,b", "1,,2"])
def test_weights_that_are_no_numbers(mix, refused, media):
    refused("detect", media / "farm.png", "--text", "a", "--text", "b", "--mix", mix,
            words=f"--mix {mix}: give a number for each prompt")  # fmt: skip


def test_a_negative_weight_is_used(run, media, tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("farm", "garden"):
        (tmp_path / "images" / f"{name}.png").write_bytes((media / f"{name}.png").read_bytes())

    def scores(*mix):
        result = run("search", "images", "--text", "a dog", *mix, "--json", "-")
        assert result.exit_code == 0, result.output
        return {r["file"]: r["score"] for r in json.loads(result.stdout)["results"]}

    plain, negative = scores(), scores("--mix", "-1")
    assert negative == {file: pytest.approx(-score, abs=2e-6) for file, score in plain.items()}


@pytest.mark.parametrize("value", ["False", "false", "no", "off", "0"])
def test_false_is_false(value):
    assert not read_options([f"upright={value}"], ["image"])["upright"]


def test_option_values():
    assert read_options(["upright=Yes", "clips=3"], ["image", "audio"]) == {
        "upright": True, "clips": 3,
    }  # fmt: skip
    assert read_options(["clips=all"], ["audio"]) == {"clips": "all"}
    with pytest.raises(BindplugError, match="image has: "):
        read_options(["clips=3"], ["image"])


def test_the_rate_of_imu_prompts_is_an_option_wherever_prompts_are(run, media, tmp_path):
    """The small model has no IMU: it says so, after the option was taken."""
    np.savetxt(tmp_path / "walk.csv", np.zeros((400, 6)), delimiter=",")
    for command in (
        ("detect", media / "farm.png", "--no-overlay"),
        ("search", media),
        ("bridge", "explain"),
    ):
        result = run(*command, "--imu", "walk.csv", "--option", "rate=200")
        assert result.exit_code == 2 and "does not embed imu" in result.stderr, result.output


def test_options_reach_the_prompts(run, media):
    found = {}
    for clips in ("1", "all"):
        result = run("bridge", "explain", "--audio", media / "dog.wav", "--option",
                     f"clips={clips}", "--json", "-")  # fmt: skip
        assert result.exit_code == 0, result.output
        found[clips] = json.loads(result.stdout)[0]["words"]
    assert found["1"] != found["all"]


def test_values_refused(refused, media):
    farm = media / "farm.png"
    refused("detect", farm, "--text", "a", "--threshold", "nan", words="nan")
    for modality in ("smell", "Audio"):
        refused("classify", "--labels", "a,b", "--sense", modality, farm,
                words=f"no modality {modality!r}")  # fmt: skip
    refused("classify", "--labels", "a,b", "--template", "a dog", farm, words='"{}"')
    refused("evaluate", "classify", media, "--template", "a dog", words='"{}"')
    refused("evaluate", "retrieve", "x.csv", "--query", "smell", words="no modality 'smell'")
    refused("embed", "--text", "a", "--no-split", words="--model local:PATH")
    refused("detect", "--text", "a", farm, "--json", "-", "--coco", "-", words="interleave")


def test_templates_in_the_library():
    from bindplug.embedding.classifier import ZeroShot

    with pytest.raises(BindplugError, match="template"):
        ZeroShot(bindplug.load_embedder("small", "cpu"), ["a", "b"], ["a dog"])


def test_byte_order_marks(run, media, tmp_path):
    (tmp_path / "l.txt").write_bytes(b"\xef\xbb\xbfdog\r\ncat\r\n")
    result = run("classify", "--labels", "l.txt", media / "dog.wav", "--json", "-")
    assert set(json.loads(result.stdout)["files"][0]["probabilities"]) == {"dog", "cat"}
    (tmp_path / "list").write_bytes(b"\xef\xbb\xbf" + str(media / "dog.wav").encode() + b"\r\n")
    data = json.loads(run("embed", "--list", "list").stdout)
    assert data["labels"] == [str(media / "dog.wav")]
    result = run("detect", "--text", "dog", media / "farm.png", "--vocabulary", "l.txt",
                 "--no-overlay", "--json", "-")  # fmt: skip
    assert "2 words" in json.loads(result.stdout)["bridge"]


@pytest.mark.parametrize("encoding", ["utf-16-be", "latin-1"])
def test_other_encodings_are_one_line(encoding, refused, media, tmp_path):
    path, words = tmp_path / "l.txt", "l.txt: is not UTF-8 text"
    path.write_bytes("café\ndog\n".encode(encoding))
    refused("classify", "--labels", "l.txt", media / "dog.wav", words=words)
    refused("embed", "--list", "l.txt", words=words)
    refused("detect", "--text", "a", media / "farm.png", "--no-overlay", "--vocabulary", "l.txt",
            words=words)  # fmt: skip
    with pytest.raises(BindplugError, match="save it as UTF-8"):
        read_text(path)


def test_a_list_on_standard_input(media, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for data, code in ((b"\xef\xbb\xbf" + str(media / "dog.wav").encode(), 0), (b"\xff\xe9", 2)):
        result = CliRunner().invoke(main, ["embed", "--list", "-"], input=data)
        assert result.exit_code == code, result.output
        assert ("dog.wav" in result.stdout) if code == 0 else ("is not UTF-8" in result.stderr)


def test_lone_surrogates_are_embedded_as_by_the_library(run, tmp_path):
    (tmp_path / "j.txt").write_text('{"text": "a cat \\ud83d"}\n')
    result = run("embed", "--list", "j.txt", "-o", "j.npy")
    assert result.exit_code == 0, result.output
    want = bindplug.load_embedder("small", "cpu").embed(text="a cat \ud83d").vectors
    assert np.allclose(np.load(tmp_path / "j.npy"), want, atol=1e-6)


def test_a_whole_vocabulary_without_a_prompt(run, media, tmp_path, refused):
    (tmp_path / "v.txt").write_text("dog\ncat\nrooster\n")
    result = run("detect", media / "garden.png", "--vocabulary", "v.txt", "--json", "-")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["competition"] == "none"
    labels = [o["label"] for o in data["images"][0]["objects"]]
    assert {"dog", "cat"} <= set(labels) <= {"dog", "cat", "rooster"}
    refused("detect", media / "garden.png", "-o", "b", words="give a prompt")
