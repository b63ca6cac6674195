"""One at a time at a file or folder, by whatever name, also after a crash."""

import subprocess
import sys
import tempfile
import threading

import pytest

from bindplug import BindplugError
from bindplug.storage.locks import locked

HOLDER = """
import sys, time
from bindplug.storage.locks import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_thread_waits_and_says_so(tmp_path):
    held, done, told, order = threading.Event(), threading.Event(), [], []

    def first():
        with locked(tmp_path / "x"):
            held.set()
            done.wait(10)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert held.wait(10)

    def tell(words):
        told.append(words)
        done.set()  # the first goes on only now

    (tmp_path / "link").symlink_to(tmp_path / "x")
    with locked(tmp_path / "link", tell):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert told == [f"{tmp_path / 'link'}: is in use by another bindplug; waiting for it to end"]
    assert [p.name for p in tmp_path.iterdir()] == ["link"]  # nothing is left beside it


def test_others_do_not_wait_and_an_error_lets_go(tmp_path):
    told = []
    with pytest.raises(KeyError), locked(tmp_path / "x"), locked(tmp_path / "y", told.append):
        raise KeyError
    with locked(tmp_path / "x", told.append):
        pass
    assert told == []


def test_a_killed_process_holds_nothing(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "x")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    told = []

    def tell(words):
        told.append(words)
        process.kill()

    with locked(tmp_path / "x", tell):
        assert process.wait(10) != 0
    assert len(told) == 1


def test_where_no_lock_can_be_had(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    refused = pytest.raises(BindplugError, match=r"x: cannot be locked \(No such file")
    with refused, locked(tmp_path / "x"):
        pytest.fail("it is not locked")
