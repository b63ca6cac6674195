"""Everything that `bindplug generate` can be asked for beside a prompt."""

import json
import shutil

import av
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

FEW = ("--steps", 3, "--candidates", 1)


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_like_makes_it_again(run, media, tmp_path):
    prompts = ("--audio", media / "cat.wav", "--text", "a tree", "--mix", "0.7,0.3")
    start = ("--init-image", media / "farm.png", "--strength", 0.7)
    result = run("generate", *prompts, *start, "--negative-audio", media / "dog.wav",
                 "--num-images", 2, "--seed", 4, "--steps", 3, "--candidates", 3)  # fmt: skip
    assert result.exit_code == 0, result.output
    first = tmp_path / "bindplug-out" / "cat+a-tree_0001.png"
    result = run("generate", "--like", first, "-o", "again")
    assert result.exit_code == 0, result.output
    again = tmp_path / "again" / "cat+a-tree_0001.png"
    assert np.array_equal(pixels(first), pixels(again))
    assert Image.open(first).text == Image.open(again).text
    metadata = json.loads(again.with_suffix(".json").read_text())
    assert metadata["seed"] == 5 and metadata["candidates"] == 3


def test_the_models_own_candidates_and_pictures_from_before_there_were_any(run, media, tmp_path):
    asked = ("generate", "--audio", media / "cat.wav", "--steps", 3)
    assert run(*asked, "-o", "own").exit_code == 0
    assert run(*asked, "--candidates", 1, "-o", "one").exit_code == 0
    own, one = (tmp_path / f / "cat_0000.png" for f in ("own", "one"))
    assert json.loads(own.with_suffix(".json").read_text())["candidates"] == 4
    picture = Image.open(one)
    job = json.loads(picture.text["bindplug:job"])
    assert job.pop("candidates") == 1
    info = PngInfo()
    info.add_itxt("bindplug:job", json.dumps(job))
    picture.save(tmp_path / "before.png", pnginfo=info)
    assert run("generate", "--like", "before.png", "-o", "again").exit_code == 0
    assert np.array_equal(pixels(one), pixels(tmp_path / "again" / "before.png"))


def test_like_refuses_what_has_changed(run, media, tmp_path, refused):
    shutil.copy(media / "cat.wav", tmp_path / "x.wav")
    assert run("generate", "--audio", "x.wav", *FEW).exit_code == 0
    picture = tmp_path / "bindplug-out" / "x_0000.png"
    shutil.copy(media / "dog.wav", tmp_path / "x.wav")
    refused("generate", "--like", picture, "-o", "a", words="has changed since")
    (tmp_path / "x.wav").unlink()
    refused("generate", "--like", picture, "-o", "a", words="is gone")
    refused("generate", "--like", media / "farm.png", "-o", "a", words="holds no recipe")
    refused("generate", "--like", "absent.png", words="no such file")


def test_a_picture_painted_over(run, media, tmp_path):
    paths = []
    for strength in (0.2, 1.0):
        out = f"s{strength}"
        result = run("generate", "--audio", media / "cat.wav", "--init-image", media / "farm.png",
                     "--strength", strength, "--steps", 10, "-o", out)  # fmt: skip
        assert result.exit_code == 0, result.output
        paths.append(tmp_path / out / "cat_0000.png")
    base = np.asarray(Image.open(media / "farm.png").convert("RGB").resize((96, 96))).astype(int)
    little, all_of_it = (np.abs(pixels(p) - base).mean() for p in paths)
    assert little < 0.6 * all_of_it


def test_a_morph_is_a_film_with_sound(run, media, tmp_path):
    result = run("generate", "--morph", media / "cat.wav", media / "dog.wav", "--frames", 5, *FEW)
    assert result.exit_code == 0, result.output
    out = tmp_path / "bindplug-out"
    with Image.open(out / "cat-dog.gif") as gif:
        assert gif.n_frames == 5 and gif.size == (96, 96)
    with av.open(str(out / "cat-dog.mp4")) as film:
        assert {s.type for s in film.streams} == {"video", "audio"}
        assert sum(1 for _ in film.decode(video=0)) == 5
    for name in ("cat", "dog"):
        assert run("generate", "--audio", media / f"{name}.wav", *FEW).exit_code == 0
    with av.open(str(out / "cat-dog.mp4")) as film:
        shown = [f.to_ndarray(format="rgb24").astype(int) for f in film.decode(video=0)]
    cat, dog = pixels(out / "cat_0000.png"), pixels(out / "dog_0000.png")
    assert np.abs(shown[0] - cat).mean() < 6 and np.abs(shown[-1] - dog).mean() < 6


def test_two_sounds_at_once_or_added(run, media, tmp_path):
    two = ("--audio", media / "cat.wav", "--audio", media / "rain.wav")
    assert run("generate", *two, "--together", *FEW, "-o", "a").exit_code == 0
    assert run("generate", *two, "--mix", "0.5,0.5", *FEW, "-o", "b").exit_code == 0
    a, b = (tmp_path / f / "cat+rain_0000.png" for f in "ab")
    assert not np.array_equal(pixels(a), pixels(b))
    assert json.loads(a.with_suffix(".json").read_text())["together"] is True


def test_a_difference_has_another_name_than_the_sum(run, media, tmp_path):
    two = ("--audio", media / "cat.wav", "--audio", media / "rain.wav", *FEW, "-o", "a")
    assert run("generate", *two, "--mix", "1,1").exit_code == 0
    assert run("generate", *two, "--mix", "1,-1").exit_code == 0
    assert run("generate", *two, "--mix", "-1,1").exit_code == 0
    assert sorted(p.stem for p in (tmp_path / "a").glob("*.png")) == [
        "cat+rain_0000", "cat-minus-rain_0000", "minus-cat+rain_0000",
    ]  # fmt: skip


def test_two_sounds_in_one_and_a_text(run, media, tmp_path):
    two = ("--audio", media / "cat.wav", "--audio", media / "rain.wav", "--text", "a tree")
    result = run("generate", *two, "--together", "--mix", "0.5,0.5", *FEW, "-o", "a")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a" / "cat+rain+a-tree_0000.png").exists()


def test_a_memory_of_ones_own(run, media, tmp_path, refused):
    assert run("embed", "--image", media / "farm.png", "--image", media / "garden.png", "-o",
               "m.safetensors").exit_code == 0  # fmt: skip
    ask = ("generate", "--audio", media / "cat.wav", *FEW, "--bank")
    result = run(*ask, "m.safetensors")
    assert result.exit_code == 0, result.output
    assert run(*ask[:-1], "--memory", "m.safetensors", "-o", "old").exit_code == 0
    own = [tmp_path / folder / "cat_0000.png" for folder in ("bindplug-out", "old")]
    assert np.array_equal(*map(pixels, own))
    assert run("embed", "--model", "small-clip", "--image", media / "farm.png", "-o",
               "n.safetensors").exit_code == 0  # fmt: skip
    refused(*ask, "n.safetensors", "-o", "b", words="is of the space 'small-clip'")
    refused(*ask, "absent.safetensors", "-o", "b", words="absent.safetensors")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--window", "loudest"], "mean, all or most_confident"),
        (["--init-image", "absent.png"], "no such file"),
        (["--negative-audio", "absent.wav"], "no such file"),
        (["--offload"], "choose a GPU as device"),
        (["--dtype", "int8"], "dtype 'int8'"),
        (["--together"], "two sounds or more"),
        (["--like", "x.png"], "give prompts, or --morph, or --like"),
        (["--weights", "karla"], "no weights 'karla'"),
        (["--seed", 2**64], "seed 18446744073709551616"),
        (["--guidance-scale", "inf"], "guidance_scale inf"),
        (["--guidance-scale", "nan"], "guidance_scale nan"),
        (["--strength", "nan"], "strength nan"),
        (["--steps", 1001], "steps 1001; give 1 to 1000"),
    ],
)
def test_refusals(refused, media, arguments, words):
    refused("generate", "--audio", media / "cat.wav", "--device", "cpu", *arguments, words=words)


def test_a_text_is_a_prompt_and_not_the_pipelines_text(run, tmp_path):
    result = run("generate", "--text", "a cat", "--prompt", "oil", *FEW)
    assert result.exit_code == 0 and "changes nothing here" in result.stderr
    result = run("generate", "--text", "a cat", *FEW, "-o", "b")
    assert result.exit_code == 0 and "changes nothing" not in result.stderr
    for folder, text in (("bindplug-out", "oil"), ("b", "")):
        metadata = json.loads((tmp_path / folder / "a-cat_0000.json").read_text())
        assert metadata["text"] == text and metadata["prompts"] == [["text", "a cat"]]


def test_options_without_effect_and_outputs_over_inputs(run, media, tmp_path, refused):
    assert run("generate", "--text", "a cat", *FEW).exit_code == 0
    png = tmp_path / "bindplug-out" / "a-cat_0000.png"
    refused("generate", "--like", png, "--steps", 3, words="leave out --steps")
    refused("generate", "--like", png, "--overwrite", words=f"would replace the input {png}")
    refused("generate", "--morph", media / "cat.wav", media / "dog.wav", "--num-images", 2,
            words="leave out --num-images")  # fmt: skip
    shutil.copy(media / "farm.png", tmp_path / "b_0000.png")
    shutil.copy(media / "cat.wav", tmp_path / "b.wav")
    refused("generate", "--audio", "b.wav", "--init-image", "b_0000.png", "-o", ".", "--overwrite",
            words="b_0000.png: would replace the input b_0000.png")  # fmt: skip


def test_strength_has_a_range(refused, media):
    refused("generate", "--text", "x", "--init-image", media / "farm.png", "--strength", 0,
            words="strength 0")  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (("--text", "x", "--frames", 4), "--frames"),
        (("--text", "x", "--strength", 0.5), "--strength"),
        (("--like", "--mix", "0.5"), "--mix"),
        (("--like", "--num-images", 2), "--num-images"),
        (("--like", "--frames", 4), "--frames"),
        (("--like", "--prompt", "oil"), "--prompt"),
        (("--like", "--negative-prompt", "oil"), "--negative-prompt"),
        (("--like", "--bank", "x.npy"), "--bank/--memory"),
        (("--like", "--no-split"), "--split/--no-split"),
        (("--like", "--option", "clips=all"), "--option"),
        (("--morph", "--mix", "1,2"), "--mix"),
        (("--morph", "--candidates", 4), "--candidates"),
        (("--morph", "--together"), "--together"),
    ],
)
def test_options_that_have_no_effect_are_named(arguments, flag, refused, media, tmp_path):
    files = {"--like": [media / "farm.png"], "--morph": [media / "cat.wav", media / "dog.wav"]}
    first, *others = arguments
    refused("generate", first, *files.get(first, ()), *others, "-o", "a", words=f"out {flag}")


def test_no_split_reaches_the_embedder(refused):
    refused("generate", "--text", "x", "--no-split", words="--no-split is for --model local:PATH")


def test_names_with_dots_do_not_meet(run, media, tmp_path):
    for name, source in (("take.1", "cat"), ("take.2", "dog")):
        shutil.copy(media / f"{source}.wav", tmp_path / f"{name}.wav")
    result = run("generate", "--audio", "take.1.wav", "--audio", "take.2.wav", *FEW)
    assert result.exit_code == 0, result.output
    written = sorted(p.name for p in (tmp_path / "bindplug-out").glob("*.png"))
    assert written == ["take.1_0000.png", "take.2_0000.png"]
    for name in ("take.1", "take.2"):
        metadata = json.loads((tmp_path / "bindplug-out" / f"{name}_0000.json").read_text())
        assert metadata["prompts"] == [["audio", f"../{name}.wav"]]


def test_options_of_the_prompts(run, media, tmp_path, refused):
    cat = ("generate", "--audio", media / "cat.wav", *FEW)
    for options, folder in (((), "a"), (("--option", "clips=1"), "b")):
        assert run(*cat, *options, "-o", folder).exit_code == 0
    a, b = (tmp_path / folder / "cat_0000.png" for folder in "ab")
    assert json.loads(b.with_suffix(".json").read_text())["options"] == {"clips": 1}
    assert not np.array_equal(pixels(a), pixels(b))
    assert run("generate", "--like", b, "-o", "again").exit_code == 0
    assert np.array_equal(pixels(b), pixels(tmp_path / "again" / "cat_0000.png"))
    loud = ("--option", "normalize=none")
    assert run(*cat, *loud, "-o", "c").exit_code == 0
    assert run(*cat, "--keep-loudness", "-o", "d").exit_code == 0
    c, d = (tmp_path / folder / "cat_0000.png" for folder in "cd")
    assert np.array_equal(pixels(c), pixels(d))
    assert json.loads(c.with_suffix(".json").read_text())["normalize"] == "none"
    refused(*cat, *loud, "--keep-loudness", "-o", "e", words="leave out --keep-loudness")
    refused(*cat, "--option", "upright=true", "-o", "e", words="audio has: channel, clips")
    refused("generate", "--text", "x", "--option", "clips=1", words="text has: truncation")
    refused("generate", "--imu", "x.csv", "--option", "rate=200", words="does not embed imu")
