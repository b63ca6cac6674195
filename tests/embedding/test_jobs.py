"""Many files into one: complete, in order, and the same however often it was killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file

import bindplug
from bindplug import BindplugError
from bindplug.embedding.inputs import expand, modality_by_ending, read_list
from bindplug.embedding.jobs import CHUNK, embed_files, shard_of
from bindplug.storage.vector_file import map_vectors, read_metadata, write_vectors


@pytest.fixture(scope="module")
def embedder(imagebind_folder):
    """The one that takes the least time."""
    return bindplug.load_embedder(f"local:{imagebind_folder}", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """80 short sounds, and one that is none."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for i in range(80):
        wave = np.sin(np.arange(4000) * (0.02 + 0.01 * i)) * 0.3 + rng.normal(size=4000) * 0.01
        soundfile.write(folder / f"{i:03d}.wav", wave, 16_000)
    (folder / "040.wav").write_text("no sound")
    return folder


def items_of(folder):
    return [("audio", p) for p in expand("audio", str(folder))]


@pytest.mark.parametrize("ending", [".npy", ".safetensors", ".parquet"])
def test_rows_in_order(embedder, folder, tmp_path, ending):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"x{ending}"
    report = embed_files(embedder, [*items_of(folder), ("text", "a dog")], path)
    assert report.rows == 80 and len(report.errors) == 1 and "040.wav" in report.errors[0]
    good = [p for _, p in items_of(folder) if "040" not in p]
    want = np.concatenate(
        [embedder.embed(audio=good).vectors, embedder.embed(text="a dog").vectors]
    )
    if ending == ".npy":
        got = np.load(path)
    elif ending == ".safetensors":
        got = load_file(path)["vectors"]
        assert np.array_equal(map_vectors(path), got)
        assert read_metadata(path)["labels"] == [*good, "a dog"]
    else:
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        got = np.array(table["vector"].to_pylist(), np.float32)
        assert table["label"].to_pylist() == [*good, "a dog"]
    assert np.abs(got - want).max() < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_shards_are_one_run(embedder, folder, tmp_path):
    items = items_of(folder)
    embed_files(embedder, items, tmp_path / "all.npy")
    for i in range(2):
        embed_files(embedder, shard_of(items, (i, 2)), tmp_path / f"{i}.npy")
    joined = np.concatenate([np.load(tmp_path / f"{i}.npy") for i in range(2)])
    assert np.array_equal(joined, np.load(tmp_path / "all.npy"))


@pytest.mark.parametrize("count", [0, 1, 5, CHUNK, 2000])
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_shares_are_all_and_nearly_even(count, n):
    items = list(range(count))
    shares = [shard_of(items, (i, n)) for i in range(n)]
    assert [i for share in shares for i in share] == items
    assert max(map(len, shares)) - min(map(len, shares)) <= max(CHUNK, 1) + CHUNK


def test_what_is_done_is_not_done_again(embedder, folder, tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    items = items_of(folder)
    embed_files(embedder, items, path)
    monkeypatch.setattr(embedder, "stream", None)
    report = embed_files(embedder, items, path)
    assert report.was_done and report.rows == 79 and "040.wav" in report.errors[0]
    with pytest.raises(BindplugError, match="exists"):
        embed_files(embedder, items[:5], path)


def test_the_unfinished_work_of_another_call_is_not_lost(embedder, folder, tmp_path):
    parts = tmp_path / "x.npy.parts"
    parts.mkdir()
    (parts / "job.json").write_text(json.dumps({"id": "other"}))
    with pytest.raises(BindplugError, match="unfinished work"):
        embed_files(embedder, items_of(folder), tmp_path / "x.npy")
    assert parts.exists()
    embed_files(embedder, items_of(folder)[:3], tmp_path / "x.npy", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


def test_an_interrupted_replacement_goes_on(embedder, folder, tmp_path, monkeypatch):
    path, items = tmp_path / "x.npy", items_of(folder)
    embed_files(embedder, items[:1], path)
    stream, calls = embedder.stream, []

    def killed(*args, **kw):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return stream(*args, **kw)

    monkeypatch.setattr(embedder, "stream", killed)
    with pytest.raises(KeyboardInterrupt):
        embed_files(embedder, items, path, overwrite=True)
    report = embed_files(embedder, items, path)
    assert not report.was_done and report.rows == len(np.load(path)) == 79


def test_nothing_readable(embedder, tmp_path):
    with pytest.raises(BindplugError, match="no such file"):
        embed_files(embedder, [("audio", str(tmp_path / "a.wav"))], tmp_path / "x.npy")
    assert not list(tmp_path.iterdir())


def test_a_full_disk(embedder, folder, tmp_path, monkeypatch):
    sync, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 2:  # the job's description and the first part still fit
            raise OSError(28, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BindplugError, match="No space left"):
        embed_files(embedder, items_of(folder), tmp_path / "x.npy")
    assert not (tmp_path / "x.npy").exists()
    assert not list(tmp_path.rglob("*.part"))


def test_a_job_of_an_unknown_network_is_never_done(tmp_path):
    embedder, out = bindplug.load_embedder("small", "cpu"), tmp_path / "x.safetensors"
    embedder.fingerprint = ""
    embed_files(embedder, [("text", "a dog")], out)
    with pytest.raises(BindplugError, match="exists"):
        embed_files(embedder, [("text", "a dog")], out)
    assert not embed_files(embedder, [("text", "a dog")], out, overwrite=True).was_done


def test_killed_and_restarted(folder, tmp_path):
    """The whole program, killed at random moments, until it ends by itself."""
    command = [
        sys.executable, "-m", "bindplug", "embed", "--audio", str(folder), "-o", "x.safetensors",
        "--device", "cpu",
    ]  # fmt: skip
    env = {**os.environ, "BINDPLUG_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    chance = random.Random(0)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for place in (whole, broken):
        place.mkdir()
    began = time.monotonic()
    subprocess.run(command, cwd=whole, env=env, capture_output=True, check=False)
    length = time.monotonic() - began
    for _ in range(4):
        process = subprocess.Popen(
            command, cwd=broken, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(length * chance.uniform(0.6, 1.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = subprocess.run(command, cwd=broken, env=env, capture_output=True, text=True, check=False)
    assert last.returncode == 2 and "040.wav" in last.stderr  # the one that is no sound
    assert [p.name for p in broken.iterdir()] == ["x.safetensors"]
    assert (broken / "x.safetensors").read_bytes() == (whole / "x.safetensors").read_bytes()


def test_lists_and_endings(tmp_path):
    lines = ["a.wav\n", "\n", '{"text": "a dog", "id": 3}\n', "b.JPG"]
    assert read_list(lines) == [("audio", "a.wav"), ("text", "a dog"), ("image", "b.JPG")]
    assert read_list(["a dog"], "text") == [("text", "a dog")]
    for line, words in (("{", "line 1"), ('{"smell": "rose"}', "one input"), ("a.xyz", "modality")):
        with pytest.raises(BindplugError, match=words):
            read_list([line])
    assert modality_by_ending("x.mp4") == "video"
    (tmp_path / "sub").mkdir()
    for name in ("b.wav", "a.wav", "c.txt", "sub/d.wav"):
        (tmp_path / name).touch()
    assert [p[-5:] for p in expand("audio", str(tmp_path))] == ["a.wav", "b.wav", "d.wav"]
    assert len(expand("audio", str(tmp_path / "*.wav"))) == 2
    with pytest.raises(BindplugError, match="without image files"):
        expand("image", str(tmp_path))


def test_labels_too_long_for_a_header_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("bindplug.storage.vector_file.HEADER", 100)
    path, labels = tmp_path / "x.safetensors", [f"sounds/{i} \u00e9.wav" for i in range(50)]
    rows = np.eye(50, 4, dtype=np.float32)
    write_vectors(path, 50, 4, [rows[:20], rows[20:]], {"space": "s", "labels": labels})
    read = read_metadata(path)
    assert (read["labels"], read["space"], read["rows"], read["width"]) == (labels, "s", 50, 4)
    assert np.array_equal(map_vectors(path), rows)
    assert np.array_equal(load_file(path)["vectors"], rows)


def test_the_output_is_written_as_other_files_are(embedder, folder, tmp_path):
    items = items_of(folder)[:2]
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "x.npy", tmp_path / "x.npy"
    real.write_bytes(b"old")
    real.chmod(0o600)
    link.symlink_to(real)
    embed_files(embedder, items, link, overwrite=True)
    assert link.is_symlink() and len(np.load(real)) == 2
    assert real.stat().st_mode & 0o777 == 0o600
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(BindplugError, match=r"pipe.npy: is a pipe"):
        embed_files(embedder, items, tmp_path / "pipe.npy", overwrite=True)
    with pytest.raises(BindplugError, match="no modality has an option 'clipz'"):
        embed_files(embedder, items, tmp_path / "y.npy", {"clipz": 3})


def test_an_interrupted_overwrite_goes_on(embedder, folder, tmp_path):
    """Also where what it replaces is no file of embeddings."""
    output = tmp_path / "x.safetensors"
    output.write_bytes(b"something else")
    items = items_of(folder)[:2]
    with pytest.raises(AttributeError):
        embed_files(_Broken(embedder), items, output, overwrite=True)
    assert embed_files(embedder, items, output).rows == 2


class _Broken:
    """An embedder that is killed on the way."""

    def __init__(self, embedder):
        self.space, self.fingerprint = embedder.space, embedder.fingerprint
        self.batch_size = embedder.batch_size
