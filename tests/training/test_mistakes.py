"""What a user gets wrong is said before anything is trained, removed or written."""

import csv
import logging
import os
import stat

import pytest

import bindplug
from bindplug import BindplugError
from bindplug.errors import FileExists
from bindplug.models.towers.build import make_trunk
from bindplug.models.towers.spec import parse_tower
from bindplug.storage.atomic import writing
from bindplug.training.data.rows import Bad, Row, ids_of, make_sources
from bindplug.training.data.sources import read_sources
from bindplug.training.data.tables import folder_rows
from bindplug.training.feature_cache import fingerprint
from bindplug.training.run import train
from bindplug.training.settings import read_settings

BOTH = ["image", "audio", "text"]


def test_rows_of_other_modalities():
    rows = [
        Row({"image": ("a",), "audio": ("b",)}, "1"),
        Row({"image": ("a",), "text": ("c",)}, "2"),
        Row({"audio": ("b",), "text": ("c",)}, "3"),
        Row({"image": ("a",)}, "4"),
    ]
    bad = Bad()
    sources = make_sources(rows, "t", BOTH, bad)
    assert [s.modalities for s in sources] == [("audio", "image"), ("image", "text")]
    assert len(bad.messages) == 2 and "t: 3 is not an image and" in bad.messages[0]


@pytest.mark.parametrize(
    ("place", "kind", "names", "words"),
    [
        ("train.csv#train", "csv", None, "only layouts of data sets have splits"),
        ("image#val", "folder", None, "leave out #val"),
        ("a.tar", "webdataset", None, "shards are for --train-data"),
        ("train.csv", "csv", {"image": "picture"}, "no column 'picture' for image; it has audio"),
    ],
)
def test_data_that_is_not_what_was_meant(world, place, kind, names, words):
    with pytest.raises(BindplugError, match=words):
        read_sources((str(world / place),), kind, BOTH, Bad(), names)


def test_files_that_are_all_gone_are_named(tmp_path):
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "audio"], ["x.png", "x.wav"], ["y.png", "y.wav"]])
    with pytest.raises(BindplugError, match=r"2 of its rows left out; the first: .*x\.png"):
        read_sources((str(tmp_path / "t.csv"),), "csv", BOTH, Bad())


def test_arguments_of_a_trunk_are_part_of_the_features_key():
    towers = [parse_tower(f"image=timm:resnet10t,size={size}") for size in (64, 128)]
    trunk = make_trunk(towers[0], bindplug.load_embedder)
    tower = type("Tower", (), {"trunk": trunk, "precision": None})
    assert fingerprint(tower, towers[0]) == fingerprint(tower, towers[0])
    assert fingerprint(tower, towers[0]) != fingerprint(tower, towers[1])


def test_a_run_that_cannot_begin_leaves_the_old_one_whole(settings, world, tmp_path):
    train(settings(steps=2), "cpu")
    folder = tmp_path / "logs" / "run"

    def contents():
        return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    before = contents()
    with pytest.raises(BindplugError, match=r"absent\.csv"):
        train(settings(train_data=("absent.csv",), steps=2), "cpu", overwrite=True)
    wrong = {"val_data": (str(world / "val.csv"),), "early_stop_on": "recall"}
    with pytest.raises(BindplugError, match="'recall': no such figure; there are audio"):
        train(settings(steps=2, **wrong), "cpu", overwrite=True)
    with pytest.raises(BindplugError, match=r"other settings \(--lr was 0\.\d+ and is 0\.5\)"):
        train(settings(steps=2, lr=0.5), "cpu", resume=True)
    assert contents() == before
    (folder / "checkpoint.pt").unlink()
    for resume in (False, True):
        with pytest.raises(FileExists, match=r"report\.json: exists"):
            train(settings(steps=2, lr=0.5), "cpu", resume=resume)
    train(settings(steps=2, lr=0.5), "cpu", overwrite=True)
    assert contents()[str(folder / "settings.toml")] != before[str(folder / "settings.toml")]


def test_towers_that_nothing_binds(settings, caplog):
    own = "audio=imagebind:width=32,depth=2,heads=2"
    with pytest.raises(BindplugError, match="--tower depth: no row of the data has depth"):
        train(settings(tower=(own, "depth=imagebind:width=32,depth=1,heads=2")), "cpu")
    with caplog.at_level(logging.WARNING, "bindplug"):
        [report] = train(settings(tower=(own,), embed_dim=16, steps=2), "cpu")
    assert "text: left out, since no row of the data binds it" in caplog.text
    made = bindplug.load_embedder(f"local:{report['model']}", "cpu")
    assert set(made.modalities) == {"image", "video", "audio"}


def test_a_tower_of_the_base_keeps_its_head_and_trunk(settings):
    [report] = train(settings(steps=2), "cpu")
    base = {"init": f"local:{report['model']}", "name": "again"}
    with pytest.raises(BindplugError, match=r"the head of .* is linear; leave out head=mlp"):
        train(settings(tower=("audio=train:head=mlp",), **base), "cpu")
    with pytest.raises(BindplugError, match="'width' does not apply; the trunk is that of"):
        train(settings(tower=("audio=train:width=64",), **base), "cpu")
    with pytest.raises(BindplugError, match="'r' does not apply"):
        train(settings(tower=("audio=train:lora=4",), **base), "cpu")


def test_files_without_a_partner_are_counted(world, tmp_path):
    place = tmp_path / "data" / "red"
    place.mkdir(parents=True)
    image, sound = next((world / "image").rglob("*.png")), next((world / "audio").rglob("*.wav"))
    for name, source in (("a.png", image), ("a.wav", sound), ("b.png", image), ("c.wav", sound)):
        (place / name).write_bytes(source.read_bytes())
    bad = Bad()
    [row] = folder_rows(tmp_path / "data", BOTH, bad)
    assert row.inputs["audio"] == (str(place / "a.wav"),)
    assert sorted(m.partition(": ")[0] for m in bad.messages) == [
        str(place / "b.png"), str(place / "c.wav")
    ]  # fmt: skip


def test_what_goes_before_a_preset():
    flags = {"train_data": ("x",), "tower": ("image=timm:resnet18",), "aug": ("image=none",)}
    of = read_settings({**flags, "warmup": 0}, preset="paper-audio")
    assert of.tower == ("audio=imagebind:drop_path=0.1", "image=timm:resnet18")
    assert of.aug == ("audio=window,frequency_mask:12", "image=none")
    assert of.warmup == 0 and of.warmup_epochs == 0
    assert read_settings(flags, preset="paper-audio").warmup_epochs == 2


def test_a_flag_of_a_pair_goes_before_the_other_one_of_a_file(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('train-data = ["x"]\nsteps = 4\nseeds = [1, 2]\n')
    of = read_settings({"epochs": 10.0, "seed": 7}, str(path))
    assert (of.steps, of.epochs, of.seeds, of.seed) == (0, 10.0, (), 7)


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": float("inf")}, {"beta1": 1.0}, {"seed": 2**40}, {"seeds": (7, 7)},
     {"head_dropout": 1.0}, {"val_frequency": float("nan")}],
    ids=str,
)  # fmt: skip
def test_numbers_that_no_run_can_have(wrong):
    with pytest.raises(BindplugError, match=next(iter(wrong)).rstrip("s").replace("_", "-")):
        read_settings({"train_data": ("x",), **wrong})


def test_files_that_libraries_write_have_the_mode_that_the_umask_gives(tmp_path):
    before = os.umask(0o022)
    try:
        with writing(tmp_path / "x") as file:
            (tmp_path / "other").write_bytes(b"whole")
            (tmp_path / "other").chmod(0o600)
            os.replace(tmp_path / "other", file.name)  # as safetensors does
    finally:
        os.umask(before)
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


def test_labels_in_another_order_are_the_same():
    rows = [Row({}, "1", ("dog", "animal")), Row({}, "2", ("animal", "dog")), Row({}, "3", ("x",))]
    assert ids_of(rows, "label") == [0, 0, 1]


def test_muon_leaves_heads_to_adamw(settings, caplog):
    of = settings(tower=("audio=small,head=linear",), init="small", opt="muon", steps=1)
    train(of, "cpu")
    assert "no matrix of a transformer block is trained" in caplog.text


def test_early_stopping_needs_validation_data(settings):
    with pytest.raises(BindplugError, match="give --val-data"):
        settings(early_stop=2)


def test_a_row_of_other_modalities_is_left_out(settings, world, tmp_path):
    rows = list(csv.reader((world / "train.csv").open()))
    table = tmp_path / "mixed.csv"
    with table.open("w", newline="") as file:
        texts = ["text", *[""] * (len(rows) - 2), "a red thing"]
        csv.writer(file).writerows([[*row, text] for row, text in zip(rows, texts, strict=True)])
    [report] = train(settings(train_data=(str(table),), steps=1), "cpu")
    assert report["left out"] == 1
    with pytest.raises(BindplugError, match=r"too few rows have audio and image and text.*strict"):
        train(settings(train_data=(str(table),), steps=1, strict=True, name="strict"), "cpu")


def test_a_run_does_not_go_on_with_other_sounds(settings, world, tmp_path):
    import shutil

    import soundfile

    sounds = tmp_path / "sounds"
    rows = list(csv.DictReader((world / "train.csv").open()))
    sounds.mkdir()
    with (tmp_path / "t.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "audio", "label"])
        for row in rows:
            table.writerow([row["image"], shutil.copy(row["audio"], sounds), row["label"]])
    of = settings(train_data=(str(tmp_path / "t.csv"),), steps=2)
    train(of, "cpu")
    wave, rate = soundfile.read(rows[0]["audio"])
    soundfile.write(sounds / os.path.basename(rows[0]["audio"]), wave[:8000], rate)
    with pytest.raises(BindplugError, match="the data, a model"):
        train(of, "cpu", resume=True)


def test_an_adapter_does_not_go_on_beside_another_base(settings, imagebind_folder, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    pytest.importorskip("peft")
    base = shutil.copytree(imagebind_folder, tmp_path / "base")
    of = settings(init=f"local:{base}", tower=("audio=lora:r=4",), steps=2)
    train(of, "cpu")
    state = load_file(base / "model.safetensors")
    key = "modality_trunks.audio.blocks.0.mlp.fc1.weight"
    save_file({**state, key: state[key] + 1}, base / "model.safetensors")
    with pytest.raises(BindplugError, match="the data, a model"):
        train(of, "cpu", resume=True)


def test_an_overwritten_run_keeps_nothing_of_the_old_one(settings, tmp_path):
    of = settings(steps=2)
    [report] = train(of, "cpu")
    with pytest.raises(BindplugError, match="the loss is"):
        train(settings(steps=8, lr=1e30), "cpu", overwrite=True)
    assert not os.path.exists(report["model"])


def test_two_images_of_one_name_are_alternatives(world, tmp_path):
    import shutil

    for i in range(2):
        of = tmp_path / "red"
        of.mkdir(exist_ok=True)
        shutil.copy(world / "image" / "red" / f"red{i}.png", of / f"{i}.png")
        shutil.copy(world / "image" / "red" / f"red{i}.png", of / f"{i}.webp")
        shutil.copy(world / "audio" / "red" / f"red{i}.wav", of / f"{i}.wav")
    rows = folder_rows(tmp_path, ["image", "audio"], Bad())
    assert [len(row.inputs["image"]) for row in rows] == [2, 2]
