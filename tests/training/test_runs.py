"""Runs of other kinds: adapters, several processes, videos, plain text, and bad data."""

import csv

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import bindplug
from bindplug import BindplugError
from bindplug.cli import main
from bindplug.training.run import train
from bindplug.training.settings import read_settings, to_toml


def weights(report):
    return load_file(f"{report['model']}/model.safetensors")


def test_an_adapter_learns_the_pairs(settings, world):
    """LoRA on a checkpoint of ImageBind's class: the sounds find their images afterwards, the
    export holds the adapter alone, and the base is as it was."""
    pytest.importorskip("peft")
    of = settings(tower=("audio=lora:r=8",), steps=120, lr=1e-2, batch_size=12, positives="label",
                  aug=("image=none", "audio=none"), warmup=10)  # fmt: skip
    [report] = train(of, "cpu")
    state = weights(report)
    assert all("adapter" in k or "probe" in k for k in state)
    before, after = (
        bindplug.load_embedder(name, device="cpu") for name in (of.init, f"local:{report['model']}")
    )
    rows = list(csv.DictReader((world / "train.csv").open()))
    scores = []
    for embedder in (before, after):
        images, sounds = (embedder.embed(**{m: [r[m] for r in rows]}) for m in ("image", "audio"))
        nearest = (sounds.vectors @ images.vectors.T).argmax(1)
        scores.append(
            np.mean([rows[i]["label"] == rows[j]["label"] for i, j in enumerate(nearest)])
        )
    assert scores[1] > 0.9 > 0.5 > scores[0]
    [more] = train(settings(init=f"local:{report['model']}", tower=("audio=train",), steps=2,
                            name="more"), "cpu")  # fmt: skip
    assert "audio.trunk.net.modality_trunks.audio.blocks.0.mlp.fc1.weight" in weights(more)
    tuned = bindplug.load_embedder(f"local:{more['model']}", device="cpu")
    assert tuned.embed(audio=rows[0]["audio"]).vectors.shape == after.embed(text="x").vectors.shape


def test_a_whole_tower_is_fine_tuned(settings, imagebind_folder):
    [report] = train(settings(tower=("audio=train",), lock=("audio=1",), steps=2), "cpu")
    old, new = load_file(imagebind_folder / "model.safetensors"), weights(report)
    for block, moves in ((0, False), (1, True)):
        key = f"modality_trunks.audio.blocks.{block}.mlp.fc1.weight"
        same = torch.equal(new[f"audio.trunk.net.{key}"], old[key].float())
        assert same is not moves


def test_a_locked_tower_is_frozen_also_by_the_name_train(settings, imagebind_folder):
    of = settings(tower=("audio=train", "depth=train"), lock=("audio",), steps=2)
    with pytest.raises(BindplugError, match="nothing to train"):
        train(of, "cpu")
    [made] = train(settings(steps=1, name="made"), "cpu")  # its audio tower has a head
    [report] = train(settings(init=f"local:{made['model']}", tower=("audio=train",),
                              lock=("audio",), steps=2), "cpu")  # fmt: skip
    old, new = weights(made), weights(report)
    layers = [name for name in old if name.startswith(("audio.trunk.", "audio.head.layers."))]
    for name in layers:
        assert torch.equal(old[name], new[name]) is name.startswith("audio.trunk."), name


def test_two_processes_train_as_one(settings, tmp_path, run_twice):
    kind = {"steps": 5, "batch_size": 6, "learn_temp": True, "lr": 3e-3,
            "tower": ("audio=imagebind:width=32,depth=2,heads=2,drop_path=0",)}  # fmt: skip
    of = settings(name="two", **kind)
    (tmp_path / "run.toml").write_text(to_toml(of))
    run_twice("-m", "bindplug", "train", "--config", str(tmp_path / "run.toml"), "--device", "cpu")
    [one] = train(settings(name="one", **kind), "cpu")
    one_head = weights(one)["audio.head.layers.0.weight"]
    two = load_file(tmp_path / "logs" / "two" / "model" / "model.safetensors")
    for name, x in weights(one).items():
        assert torch.allclose(two[name], x, atol=1e-3), name  # Adam enlarges what is near 0
    assert torch.allclose(two["audio.head.layers.0.weight"], one_head, atol=1e-4)


def test_videos(make_video, imagebind_folder, tmp_path):
    """Frame and sound of one moment, features of both cached, bound without a table."""
    for i, colour in enumerate(("red", "green", "blue")):
        make_video(colour, seconds=3, tone=400 * (i + 1), name=f"{colour}.mp4")
    of = read_settings({
        "train_data": (str(tmp_path),), "init": f"local:{imagebind_folder}", "steps": 3,
        "tower": (f"audio=local:{imagebind_folder},head=mlp",), "logs": str(tmp_path / "logs"),
    })  # fmt: skip
    [report] = train(of, "cpu")
    assert report["left out"] == 0 and report["steps"] == 3


def test_text_and_two_modalities_at_once(settings, world, tmp_path):
    lines = list(csv.DictReader((world / "train.csv").open()))
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "audio", "text", "label"])
        writer.writerows(
            [r["image"], r["audio"], f"a {r['label']} square", r["label"]] for r in lines
        )
    of = settings(train_data=(str(tmp_path / "t.csv"), str(world / "train.csv")), siglip=True,
                  tower=("audio=imagebind:width=32,depth=1,heads=2", "text=train"),
                  val_data=(str(tmp_path / "t.csv"),), steps=4)  # fmt: skip
    [report] = train(of, "cpu")
    assert {"audio zero-shot top-1", "text to image R@1"} <= set(report["figures"])


AUDIO = ["--tower", "audio=imagebind:width=32,depth=1,heads=2"]


def run(*arguments):
    return CliRunner().invoke(main, ["train", "--device", "cpu", *map(str, arguments)])


@pytest.fixture
def common(imagebind_folder, tmp_path):
    return ["--init", f"local:{imagebind_folder}", "--steps", 2, "--batch-size", 4, "--views", 1,
            "--logs", tmp_path / "logs"]  # fmt: skip


def test_unreadable_files_are_left_out_with_a_count(world, common, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF none")
    image = tmp_path / "broken.png"
    image.write_bytes(b"none")
    good = world / "image" / "red" / "red0.png"
    table = tmp_path / "t.csv"
    table.write_text(
        (world / "train.csv").read_text() + f"{good},{broken},red\n"
        f"{image},{world}/audio/red/red0.wav,red\n{tmp_path}/absent.png,{broken},red\n"
    )
    done = run("--train-data", table, *common, *AUDIO, "--steps", 12)
    assert done.exit_code == 0, done.output
    assert "2 of the training data left out; the first: " in done.output
    assert "broken.wav" not in done.stdout  # met while training, and counted
    done = run("--train-data", table, *common, *AUDIO, "--strict", "--name", "strict")
    assert done.exit_code == 2 and "absent.png" in done.output and "--strict" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(("arguments", "error"), [
    (["--tower", "audio=nothing"], "no trunk 'nothing'"),
    (["--tower", "audio=imagebind", "--tower", "audio=small"], "two towers of audio"),
    (["--tower", "audio=small,head=none"], "choose the head linear or mlp"),
    (["--tower", "audio=lora:rank=2"], "lora has no 'rank'"),
    (["--tower", "depth=small"], "does not embed depth"),
    (["--positives", "group"], "share their groups"),
    (["--lock", "touch"], "there is no tower of touch"),
    (["--lock", "image=2"], "frozen as a whole"),
    (["--lock", "audio=9"], "9 blocks shall stay unlocked"),
    (["--tower", "audio=lora:r=2", "--lock", "audio=1"], "leave out the lock or the adapter"),
    (["--tower", "audio=lora:r=2", "--lock", "audio"], "leave out the lock or the adapter"),
    (["--tower", "audio=imagebind:width=32,depth=2,heads=2,lora=2", "--lock", "audio=1"],
     "leave out the lock or the adapter"),
    (["--template", "a photo"], "--template 'a photo' has no {} for the name"),
    (["--aug", "audio=flip"], "no augmentation 'flip' of audio"),
    (["--option", "audio.clips"], "write MODALITY.NAME=VALUE"),
    (["--option", "audio.nothing=1"], "nothing"),
    (["--temperature", "nan"], "--temperature nan"),
    (["--batch-size", "1"], "--batch-size 1; give at least 2"),
    (["--init", "nothing"], "no embedder 'nothing'"),
    (["--preset", "paper"], "no preset 'paper'"),
    (["--train-data", "/no/such.csv"], "/no/such.csv"),
    (["--lr-scheduler", "none"], "none"),
])  # fmt: skip
def test_bad_settings_end_in_one_line(world, common, arguments, error):
    tower = AUDIO if "--tower" not in arguments else []
    done = run("--train-data", world / "train.csv", *common, *tower, *arguments)
    assert done.exit_code == 2, done.output
    last = [line for line in done.output.splitlines() if line.startswith("Error")][-1]
    assert error in last and "Traceback" not in done.output


def test_one_pair_only(world, common, tmp_path):
    table = tmp_path / "one.csv"
    table.write_text("\n".join((world / "train.csv").read_text().splitlines()[:2]))
    done = run("--train-data", table, *common, *AUDIO)
    assert done.exit_code == 2 and "1 row with audio and image (the first: " in done.output
    assert "): contrastive training compares rows" in done.output


def test_nothing_to_train(world, imagebind_folder, tmp_path):
    done = run("--train-data", world / "train.csv", "--init", f"local:{imagebind_folder}",
               "--logs", tmp_path)  # fmt: skip
    assert done.exit_code == 2 and "nothing to train" in done.output


def test_features_that_are_nan(world, settings, monkeypatch):
    """Of one file: left out with a count, or an error that names it."""
    from bindplug.models.towers.tower import Tower

    features, calls = Tower.features, []

    def broken(self, x):
        out = features(self, x)
        if self.is_frozen and x.ndim == 4 and x.shape[1] == 3 and not calls:
            calls.append(1)
            out[0] = float("nan")
        return out

    monkeypatch.setattr(Tower, "features", broken)
    [report] = train(settings(steps=2), "cpu")
    assert report["left out"] == 1 and calls
    calls.clear()
    with pytest.raises(BindplugError, match=r"red1.png: its image features are NaN.*--strict"):
        train(settings(steps=2, strict=True, name="strict", cache_features=False), "cpu")


@pytest.mark.parametrize(("text", "error"), [
    ("learning-rate = 1\n", "no setting 'learning-rate'"), ("lr = 'x'\n", "give a number"),
    ("batchsize = 1\n", "did you mean batch_size"), ("lr = [1]\n", "lr is a list"),
    ("steps = true\n", "give a whole number"), ("= 1", "is not TOML"),
])  # fmt: skip
def test_bad_toml(text, error, tmp_path):
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(BindplugError, match=error):
        read_settings({"train_data": ("x",)}, str(tmp_path / "t.toml"))


def test_settings_written_are_settings_read(tmp_path):
    given = {"train_data": ('a "b".csv', "c\\d"), "lr": 1e-3, "steps": 3, "strict": True,
             "seeds": (1, 2), "cache_features": False}  # fmt: skip
    settings = read_settings(given, preset="paper-depth")
    (tmp_path / "t.toml").write_text(to_toml(settings))
    assert read_settings({}, str(tmp_path / "t.toml")) == settings
    over = read_settings({"lr": 0.5}, str(tmp_path / "t.toml"), "paper-audio")
    assert over.lr == 0.5 and over.temperature == 0.2  # flags over the file over the preset
