import io
import json
import tarfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bindplug import BindplugError
from bindplug.training.data.shards import (
    Samples,
    expand_shards,
    first_modalities,
    read_shards,
    row_of,
)
from bindplug.training.data.tables import Bad
from bindplug.training.run import train

pytest.importorskip("webdataset")


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


@pytest.fixture(scope="module")
def shards(world, tmp_path_factory):
    """The world's pairs in three shards, one sample of which has a sound that is none."""
    folder = tmp_path_factory.mktemp("shards")
    images = sorted((world / "image").rglob("*.png"))
    for number in range(3):
        with tarfile.open(folder / f"w-{number:03d}.tar", "w") as tar:
            for image in images[number::3]:
                sound = world / "audio" / image.parent.name / f"{image.stem}.wav"
                add(tar, f"{image.stem}.png", image.read_bytes())
                broken = image.stem == "blue1"
                add(tar, f"{image.stem}.wav", b"none" if broken else sound.read_bytes())
                add(tar, f"{image.stem}.json", json.dumps({"label": image.parent.name}).encode())
    return folder


def test_what_a_sample_is():
    sample = {"__key__": "0001", "__url__": "a.tar", "jpg": b"1", "depth.png": b"2", "txt": b"dog",
              "cls": b"3"}  # fmt: skip
    row = row_of(sample, {"image", "depth", "text"})
    assert set(row.inputs) == {"image", "depth", "text"} and row.labels == ("3",)
    assert str(row.inputs["depth"][0]) == "a.tar:0001.depth.png"
    with pytest.raises(BindplugError, match=r"a.tar:0001.json: is not a JSON object"):
        row_of({**sample, "json": b"[1"}, {"image"})


def test_patterns(shards):
    for pattern in (str(shards), f"{shards}/w-{{000..002}}.tar", f"{shards}/*.tar"):
        assert len(expand_shards((pattern,))) == 3
    with pytest.raises(BindplugError, match=r"w-003.tar: no such shard"):
        expand_shards((f"{shards}/w-{{000..003}}.tar",))


def take(shards, number, **kw):
    paths = expand_shards((str(shards),))
    of = {"seed": 0, "rank": 0, "count": 1, "needs": lambda row: True, **kw}
    rows = Samples(paths, {"image", "audio"}, Bad(), **of).rows()
    return [next(rows).name.split(":")[-1] for _ in range(number)]


def test_the_stream(shards):
    first = take(shards, 32)
    assert len(set(first[:16])) == 16 and set(first[:16]) == set(first[16:])
    assert first[:16] != first[16:] and first == take(shards, 32)  # epochs differ, runs do not
    assert first[:16] != take(shards, 16, seed=1)
    halves = [take(shards, 8, rank=r, count=5) for r in range(5)]  # more processes than shards
    assert set().union(*halves) == set(first)
    assert not set(take(shards, 4, rank=0, count=2)) & set(take(shards, 4, rank=1, count=2)[:4])


def test_the_first_sample_that_can_be_used_says_what_is_trained(shards, tmp_path):
    whole = sorted(map(str, shards.glob("*.tar")))
    with tarfile.open(tmp_path / "first.tar", "w") as tar:
        add(tar, "a.json", b"[1")
        add(tar, "b.png", b"1")
    bad = Bad()
    first = [str(tmp_path / "first.tar")]
    assert first_modalities(first + whole, ["audio", "image"], bad) == ["audio", "image"]
    assert "a.json: is not a JSON object" in bad.messages[0] and "b: has image" in bad.messages[1]
    with pytest.raises(
        BindplugError,
        match=r"first.tar: none of the first 100 samples has an image and one of audio",
    ):
        first_modalities(first, ["audio", "image"], bad)


def test_a_shard_that_breaks_off(shards, tmp_path):
    whole = sorted(shards.glob("*.tar"))[0]
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:100_000])
    bad = Bad()
    given = list(read_shards([str(tmp_path / "cut.tar"), str(whole)], bad))
    assert len(given) > 6 and "cut.tar: is damaged" in bad.messages[0]
    with pytest.raises(BindplugError, match=r"cut.tar.*--strict"):
        list(read_shards([str(tmp_path / "cut.tar")], Bad(True)))


def test_trained_from_shards_and_resumed_to_the_same_bits(settings, shards, train_interrupted):
    of = {"train_data": (f"{shards}/w-{{000..002}}.tar",), "train_num_samples": 16, "batch_size": 4,
          "positives": "label", "steps": 9}  # fmt: skip
    [whole] = train(settings(**of, name="whole"), "cpu")
    assert whole["left out"] >= 1
    steps = np.random.default_rng(0).integers(1, 9, 3)
    cut = train_interrupted(settings(**of, name="cut", save_seconds=0.0), steps)
    a, b = (load_file(f"{r['model']}/model.safetensors") for r in (whole, cut))
    assert all(torch.equal(a[k], b[k]) for k in a)
    with pytest.raises(BindplugError, match=r"blue1.wav.*--strict"):
        train(settings(**of, name="strict", strict=True), "cpu")
    with pytest.raises(BindplugError, match=r"--train-num-samples"):
        train(settings(train_data=of["train_data"]), "cpu")


def test_fewer_samples_than_a_batch(settings, shards, tmp_path):
    """What a batch shows twice is no negative of itself; one sample alone is refused."""
    with tarfile.open(shards / "w-000.tar") as tar:
        blue, red = (
            [m for m in tar.getmembers() if m.name.startswith(name)][:3] for name in ("blue", "red")
        )
        for name, members in (("one", blue), ("two", blue + red)):
            with tarfile.open(tmp_path / f"{name}.tar", "w") as out:
                for member in members:
                    add(out, member.name, tar.extractfile(member).read())
    of = {"train_num_samples": 8, "batch_size": 8, "steps": 1, "lr": 0.0, "warmup": 0}
    with pytest.raises(BindplugError, match="have one row to train on"):
        train(settings(train_data=(str(tmp_path / "one.tar"),), **of, name="one"), "cpu")
    [report] = train(settings(train_data=(str(tmp_path / "two.tar"),), **of, name="two"), "cpu")
    labels = {**of, "positives": "label", "name": "labels"}
    [same] = train(settings(train_data=(str(tmp_path / "two.tar"),), **labels), "cpu")
    assert abs(report["loss"] - same["loss"]) < 1e-6  # by label as by sample: two classes
