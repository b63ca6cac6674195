"""Whole runs: what they log and export, and that a run goes on to the same bits."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import bindplug
from bindplug import BindplugError
from bindplug.cli import main
from bindplug.training.prepare import _options as options_of
from bindplug.training.run import train


def weights(report):
    return load_file(f"{report['model']}/model.safetensors")


def assert_equal_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def test_the_export_is_the_trained_model(settings, world):
    of = settings(val_data=(str(world / "val.csv"),), licence=("made by a test",), steps=4)
    [report] = train(of, "cpu")
    embedder = bindplug.load_embedder(f"local:{report['model']}", device="cpu")
    assert embedder.space == report["space"] == "golden"  # bound to that space's frozen images
    assert {"image", "text", "audio"} <= set(embedder.modalities)
    base = bindplug.load_embedder(of.init, device="cpu")
    rows = list(csv.DictReader((world / "val.csv").open()))
    images = embedder.embed(image=[r["image"] for r in rows])
    sounds = embedder.embed(audio=[r["audio"] for r in rows])
    assert np.allclose(images.vectors, base.embed(image=[r["image"] for r in rows]).vectors)
    hits = (sounds.vectors @ images.vectors.T).argmax(1) == np.arange(len(rows))
    assert report["figures"]["audio to image R@1"]["value"] == pytest.approx(hits.mean(), abs=1e-4)
    assert embedder.logit_scale("audio") == pytest.approx(1 / 0.07, rel=1e-4)
    card = (world / report["model"] / "README.md").read_text()
    for part in ("made by a test", "audio to image R@1", "train.csv", "12 pairs"):
        assert part in card


def test_an_exported_base_is_found_from_anywhere(settings, world, small_onnx, monkeypatch):
    monkeypatch.chdir(small_onnx.parent)
    of = settings(
        init=f"onnx:{small_onnx.name}", tower=("audio=small,head=linear",), steps=1,
        train_data=(str(world / "train.csv"),),
    )  # fmt: skip
    [report] = train(of, "cpu")
    model = Path(report["model"]).absolute()
    monkeypatch.chdir("/")
    rows = bindplug.load_embedder(f"local:{model}", device="cpu").embed(text=["a dog"])
    wanted = bindplug.load_embedder("small", device="cpu").embed(text=["a dog"])
    assert np.allclose(rows.vectors, wanted.vectors, atol=1e-5)


def test_training_learns(settings, world):
    """Sounds of four pitches find the images of their colours, in a space of 16 dimensions."""
    of = settings(
        steps=100, lr=5e-3, batch_size=12, positives="label", embed_dim=16, log_every_n_steps=10,
        tower=("image=small,head=linear", "audio=small,head=linear"), init="",
        aug=("image=none",),
    )  # fmt: skip
    [report] = train(of, "cpu")
    embedder = bindplug.load_embedder(f"local:{report['model']}", device="cpu")
    rows = list(csv.DictReader((world / "val.csv").open()))
    vectors = [embedder.embed(**{m: [r[m] for r in rows]}).vectors for m in ("audio", "image")]
    assert (vectors[0] @ vectors[1].T).argmax(1).tolist() == [0, 1, 2, 3]
    with Path(report["folder"], "log.csv").open() as log:
        losses = [float(row["loss"]) for row in csv.DictReader(log)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("changes", [
    {"ema": 0.9, "opt": "muon", "head_dropout": 0.3, "learn_temp": True},
    {"tower": ("audio=imagebind:width=32,depth=2,heads=2,drop_path=0.3",), "accum_freq": 2,
     "precision": "amp_bf16", "grad_checkpointing": True},
    {"tower": ("audio=small,head=mlp",), "aug": ("image=strong", "audio=strong")},
])  # fmt: skip
def test_resumed_to_the_same_bits(settings, changes, train_interrupted):
    """Stopped ten times at random steps, with a checkpoint after every one or some."""
    [whole] = train(settings(name="whole", steps=14, **changes), "cpu")
    cut = settings(name="cut", steps=14, save_seconds=0.0, **changes)
    resumed = train_interrupted(cut, np.random.default_rng(0).integers(0, 14, 10))
    assert_equal_bits(weights(whole), weights(resumed))
    assert resumed["loss"] == whole["loss"]


def test_killed_and_resumed_to_the_same_bits(settings, world, tmp_path):
    """By SIGKILL, as a machine that fails: through the command line."""
    from bindplug.training.settings import to_toml

    of = settings(steps=40, save_seconds=0.0, name="killed")
    (tmp_path / "run.toml").write_text(to_toml(of))
    command = [sys.executable, "-m", "bindplug", "train", "--config", str(tmp_path / "run.toml"),
               "--device", "cpu", "--resume", "latest"]  # fmt: skip
    checkpoint = tmp_path / "logs" / "killed" / "checkpoint.pt"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        end = time.monotonic() + 60
        while not checkpoint.exists() and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(run.pid, signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    step = torch.load(checkpoint, weights_only=True)["step"]
    assert 0 < step < 40
    assert subprocess.run(command, check=True, capture_output=True).returncode == 0
    [whole] = train(settings(steps=40, name="whole"), "cpu")
    killed = {"model": str(tmp_path / "logs" / "killed" / "model")}
    assert_equal_bits(weights(whole), weights(killed))


def test_seeds_are_runs_of_their_own(settings):
    first, second = train(settings(seeds=(0, 1), steps=2), "cpu")
    assert first["folder"].endswith("seed-0") and second["seed"] == 1
    a, b = weights(first), weights(second)
    assert not torch.equal(a["audio.head.layers.0.weight"], b["audio.head.layers.0.weight"])
    again = train(settings(seeds=(), seed=1, name="again", steps=2), "cpu")[0]
    assert_equal_bits(weights(second), weights(again))


def test_a_loss_that_is_nan_names_the_inputs(settings, world):
    of = settings(lr=1e30, grad_clip_norm=0.0, warmup=0, steps=5)
    with pytest.raises(BindplugError, match=r"step \d: the loss is nan; its inputs: .*\.png") as no:
        train(of, "cpu")
    assert "\n" not in str(no.value)


def test_early_stopping_keeps_the_best(settings, world):
    of = settings(
        val_data=(str(world / "val.csv"),), val_frequency=0.5, early_stop=2, lr=0.0, steps=50,
        early_stop_on="image to audio R@1",
    )  # fmt: skip
    [report] = train(of, "cpu")
    assert report["steps"] < 10  # no figure changes at a rate of 0
    with pytest.raises(BindplugError, match="no such figure; there are"):
        train(settings(val_data=of.val_data, early_stop_on="F1", name="b"), "cpu")


def test_the_best_weights_come_with_their_batch_norms(settings, world, monkeypatch):
    """The best step's export is that of a run that ended there, counted statistics included."""
    from bindplug.training.figures import Validation

    falling = iter([0.9, 0.5, 0.1])
    monkeypatch.setattr(Validation, "figures", lambda self: {
        "f": {"value": next(falling), "low": 0.0, "high": 1.0}
    })  # fmt: skip
    of = {"tower": ("audio=timm:resnet10t",), "lr_scheduler": "const", "warmup": 0}
    ended = train(settings(steps=2, name="ended", **of), "cpu")[0]
    best = train(settings(steps=6, val_data=(str(world / "val.csv"),), early_stop=2,
                          name="best", **of), "cpu")[0]  # fmt: skip
    assert best["figures"]["f"]["value"] == 0.9 and best["steps"] == 6
    assert any("running_mean" in name for name in weights(ended))
    assert_equal_bits(weights(ended), weights(best))


def test_without_averaging_no_second_copy_is_kept(settings):
    [report] = train(settings(steps=2), "cpu")
    saved = torch.load(f"{report['folder']}/checkpoint.pt", weights_only=True)
    assert saved["averaged"] == {}
    [report] = train(settings(steps=2, ema=0.5, name="ema"), "cpu")
    saved = torch.load(f"{report['folder']}/checkpoint.pt", weights_only=True)
    assert len(saved["averaged"]) > 1


def test_names_of_classes_are_embedded_once(settings, world, monkeypatch):
    """Where the text tower is frozen; a trained one embeds them for each validation."""
    from bindplug.training.figures import Validation

    made, asked = Validation._class_vector, []
    monkeypatch.setattr(
        Validation, "_class_vector", lambda self, name: (asked.append(name), made(self, name))[1]
    )
    for tower, times in (("audio", 1), ("text", 2)):
        asked.clear()
        towers = ("audio=imagebind:width=32,depth=1,heads=2", f"{tower}=train")[: 1 + (times > 1)]
        train(settings(val_data=(str(world / "val.csv"),), steps=4, tower=towers, name=tower,
                       train_data=(str(_with_text(world)),)), "cpu")  # fmt: skip
        assert sorted(asked) == sorted(["blue", "green", "grey", "red"] * times)


def _with_text(world):
    lines = (world / "train.csv").read_text().splitlines()
    table = world / "with_text.csv"
    rows = [f"{line},a {line.rsplit(',', 1)[1]} one" for line in lines[1:]]
    table.write_text("\n".join([f"{lines[0]},text", *rows]) + "\n")
    return table


def test_a_checkpoint_is_not_replaced_unasked(settings):
    train(settings(steps=1), "cpu")
    with pytest.raises(BindplugError, match="--resume latest"):
        train(settings(steps=1), "cpu")
    with pytest.raises(BindplugError, match="other settings"):
        train(settings(steps=1, lr=0.5), "cpu", resume=True)
    train(settings(steps=1, lr=0.5), "cpu", overwrite=True)


def test_tensorboard(settings):
    pytest.importorskip("tensorboard")
    [report] = train(settings(report_to="tensorboard", log_every_n_steps=2, steps=4), "cpu")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(f"{report['folder']}/tensorboard").Reload()
    assert [e.step for e in events.Scalars("loss")] == [2, 4]


def test_the_command(world, imagebind_folder, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text(
        f'train-data = ["{world}/train.csv"]\nval_data = ["{world}/val.csv"]\n'
        f'init = "local:{imagebind_folder}"\ntower = ["audio=imagebind:width=32,depth=1,heads=2"]\n'
        "batch-size = 6\nsteps = 100\nviews = 1\n"
    )
    done = CliRunner().invoke(main, [
        "train", "--config", str(config), "--steps", "2", "--logs", str(tmp_path), "--name", "x",
        "--device", "cpu", "--json", str(tmp_path / "report.json"),
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stdout.strip().endswith("x/model")
    [run] = json.loads((tmp_path / "report.json").read_text())["runs"]
    assert run["steps"] == 2 and run["left out"] == 0


def test_figures_count_the_rows_of_all_validation_data(settings, world):
    """Halves with a label each say what the whole says."""
    rows = (world / "val.csv").read_text().splitlines()
    wholes = []
    for name, parts in (("one", [rows[1:]]), ("two", [rows[1:3], rows[3:]])):
        paths = []
        for i, part in enumerate(parts):
            paths.append(world / f"{name}{i}.csv")
            paths[-1].write_text("\n".join([rows[0], *part]))
        [report] = train(settings(val_data=tuple(map(str, paths)), name=name), "cpu")
        wholes.append(report["figures"])
    assert wholes[0] == wholes[1] and len(wholes[0]) > 4


def test_options_are_numbers_words_and_booleans(settings):
    given = ("depth.unit=sunrgbd", "audio.clips=2", "image.upright=yes")
    read = options_of(settings(option=given), ("depth", "audio", "image"))
    assert read == {
        "depth": {"unit": "sunrgbd"}, "audio": {"clips": 2}, "image": {"upright": True},
    }  # fmt: skip
