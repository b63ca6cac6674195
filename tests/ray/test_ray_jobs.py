"""What a job on Ray promises whatever it does: each row once, after kills too, never a mix."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import stand_in

from bindplug.errors import BindplugError, FileExists
from bindplug.ray import job

pytestmark = pytest.mark.usefixtures("one_ray")


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def worked_on(notes: Path) -> list[int]:
    """The rows that actors have worked on, once for each time."""
    return sorted(int(path.name.split("-")[0]) for path in notes.iterdir())


def test_a_kill_in_the_middle_loses_and_doubles_nothing(tmp_path, notes):
    output = tmp_path / "out"
    program = [sys.executable, stand_in.__file__, str(output), str(notes), "0.3"]
    process = subprocess.Popen(program, stderr=subprocess.DEVNULL)
    rows, deadline = tmp_path / "out.parts" / "checkpoint", time.monotonic() + 60
    while not (kept := done_files(rows)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(2)  # Ray's processes end when they find the program gone
    assert not output.exists() and len(worked_on(notes)) < stand_in.COUNT
    before = {
        i for path in done_files(rows) or kept for i in pq.read_table(path)["index"].to_pylist()
    }
    for path in notes.iterdir():
        path.unlink()
    report = stand_in.run(output, notes)
    assert report == job.Report(stand_in.COUNT, 0, ())
    assert sorted({*worked_on(notes), *before}) == list(range(stand_in.COUNT))
    assert len(before) > 1 and not before & set(worked_on(notes))
    assert pq.read_table(output)["index"].to_pylist() == list(range(stand_in.COUNT))
    assert {path.name for path in tmp_path.iterdir()} == {"out", "notes"}


def done_files(checkpoint: Path) -> list[Path]:
    return [path for path in checkpoint.glob("*.parquet") if ".pending" not in path.name]


def test_stopped_at_the_very_end_then_done_once_then_replaced(tmp_path, notes, monkeypatch):
    output = tmp_path / "out"

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # between the last row and the new name of the folder
        patch.setattr(job, "write_json", stopped)
        with pytest.raises(KeyboardInterrupt):
            stand_in.run(output, notes, values=range(6))
    assert not output.exists()
    report = stand_in.run(output, notes, values=range(6))
    assert report.rows == 6 and not report.was_done and worked_on(notes) == list(range(6))
    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(job, "connected", None)  # Ray is not even asked
        report = stand_in.run(output, notes, values=range(6))
        assert report.was_done and report.rows == 6
        for other in ({"values": range(3)}, {"model": "another"}, {"weights": "other"}):
            with pytest.raises(FileExists, match="other inputs, models or settings"):
                stand_in.run(output, notes, **{"values": range(6), **other})
    assert before == {path: path.stat().st_mtime_ns for path in output.iterdir()}
    report = stand_in.run(output, notes, values=range(4), overwrite=True)
    assert report.rows == len(pq.read_table(output)) == 4 and not report.was_done
    assert {path.name for path in tmp_path.iterdir()} == {"out", "notes"}


def test_a_folder_of_others_is_never_replaced(tmp_path, notes):
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.txt").write_text("mine")
    (output / "_bindplug.json").write_text("{}")
    for overwrite in (False, True):
        with pytest.raises(BindplugError, match="holds other files"):
            stand_in.run(output, notes, overwrite=overwrite)
    assert (output / "thesis.txt").read_text() == "mine"


def test_unfinished_work_of_another_job_is_not_lost(tmp_path, notes):
    parts = tmp_path / "out.parts"
    parts.mkdir()
    (parts / "job.json").write_text(json.dumps({"id": "other"}))
    with pytest.raises(BindplugError, match="unfinished work"):
        stand_in.run(tmp_path / "out", notes)
    assert [path.name for path in parts.iterdir()] == ["job.json"]


def test_a_file_that_kills_its_process_ends_the_job_and_no_other_row(tmp_path, notes):
    values = [*range(8), "poison"]
    with pytest.raises(BindplugError, match="a worker failed"):
        stand_in.run(tmp_path / "out", notes, values=values)
    assert not (tmp_path / "out").exists() and (tmp_path / "out.parts").exists()


def test_more_actors_than_there_is_room_for(tmp_path, notes):
    with pytest.raises(BindplugError, match="100 actors need 103 logical CPUs"):
        stand_in.run(tmp_path / "out", notes, actors=100)


def test_outputs_that_no_job_can_write(tmp_path, notes):
    (tmp_path / "file").touch()
    for name in ("x.npy", "x.safetensors", "file"):
        with pytest.raises(BindplugError, match="a folder of parquet files"):
            stand_in.run(tmp_path / name, notes)
    with pytest.raises(BindplugError, match="a folder; on a cluster, one that all machines share"):
        stand_in.run("s3://bucket/out", notes)
    with pytest.raises(BindplugError, match="no input"):
        stand_in.run(tmp_path / "out", notes, values=())
    assert {p.name for p in tmp_path.iterdir()} == {"file", "notes"}
    assert os.listdir(notes) == []
