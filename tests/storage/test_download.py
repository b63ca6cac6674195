"""Downloads from a local HTTP server that misbehaves in every way seen in practice."""

import hashlib
import os
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from http.server import ThreadingHTTPServer

import pytest
from misbehaving_server import DATA, Handler

from bindplug import BindplugError
from bindplug.cli import main
from bindplug.models import registry
from bindplug.storage import download
from bindplug.storage.checkpoints import Checkpoint, hash_record, remove, verify
from bindplug.storage.download import pull


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.if_range, server.behaviour = [], [], "whole"
    server.body, server.sent, server.busy, server.ignores = DATA, {}, [], False
    server.handle_error = lambda *args: None  # a client that hangs up is part of the test
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Seconds that a download would have waited."""
    waited = []
    monkeypatch.setattr(download, "sleep", waited.append)
    return waited


@pytest.fixture
def checkpoint(server, tmp_path, monkeypatch):
    monkeypatch.setenv("BINDPLUG_HOME", str(tmp_path / "home"))
    for name in ("BINDPLUG_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    url = f"http://127.0.0.1:{server.server_port}/w.pth"
    digest = hashlib.sha256(DATA).hexdigest()
    return Checkpoint("w", url, "w.pth", len(DATA), digest, "CC0", "nothing")


def left(checkpoint):
    return sorted(p.name for p in checkpoint.path.parent.iterdir() if p.suffix != ".lock")


def test_pull_and_verify(server, checkpoint):
    assert pull(checkpoint, progress=False).read_bytes() == DATA
    pull(checkpoint, progress=False)
    assert len(server.requests) == 1, "fetched again"
    verify(checkpoint)
    checkpoint.path.write_bytes(bytes(len(DATA)))
    with pytest.raises(BindplugError, match="damaged"):
        verify(checkpoint)
    assert remove(checkpoint) and not remove(checkpoint)
    with pytest.raises(BindplugError, match="models pull w"):
        verify(checkpoint)


@pytest.mark.parametrize("behaviour", ["cut", "no_ranges", "busy_once"])
def test_a_bad_connection_is_mended(server, checkpoint, behaviour):
    server.behaviour = behaviour
    assert pull(checkpoint, progress=False).read_bytes() == DATA
    assert left(checkpoint) == ["w.pth"]
    if behaviour == "cut":
        assert server.requests[1:] == [f"bytes={i * 2**20}-" for i in (1, 2, 3)]


@pytest.mark.parametrize("behaviour", ["whole", "cut"])
def test_a_size_that_nobody_published(server, checkpoint, behaviour):
    server.behaviour, server.sent = behaviour, {"ETag": '"1"'}
    unknown = replace(checkpoint, bytes=None, sha256="")
    assert pull(unknown, progress=False).read_bytes() == DATA
    count = len(server.requests)
    pull(unknown, progress=False)
    assert len(server.requests) == count
    verify(unknown)


def test_an_interrupted_download_goes_on(server, checkpoint):
    checkpoint.path.parent.mkdir(parents=True)
    checkpoint.path.with_name("w.pth.part").write_bytes(DATA[:1000])
    assert pull(checkpoint, progress=False).read_bytes() == DATA
    assert server.requests == ["bytes=1000-"]


def leave_part(checkpoint, validator=None):
    """The first 1000 bytes of DATA, as an interrupted download leaves them."""
    part = checkpoint.path.with_name("w.pth.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA[:1000])
    if validator:
        part.with_name("w.pth.part.etag").write_text(validator)


@pytest.mark.parametrize(
    "sent",
    [
        {"ETag": '"2"'},
        {"Last-Modified": "Wed, 25 Nov 2026 10:00:00 GMT"},
        {"ETag": 'W/"2"', "Last-Modified": "Wed, 25 Nov 2026 10:00:00 GMT"},  # no weak ETag
    ],
)
@pytest.mark.parametrize("ignores", [False, True])
def test_a_release_that_changed_is_not_mixed_with_the_old_one(server, checkpoint, sent, ignores):
    unknown = replace(checkpoint, sha256="")
    server.sent, server.body, server.ignores = sent, DATA[::-1], ignores
    leave_part(checkpoint, '"1"')
    assert pull(unknown, progress=False).read_bytes() == DATA[::-1]
    assert server.requests[0] == "bytes=1000-" and server.if_range[0] == '"1"'
    assert server.requests[1:] == ([None] if ignores else [])
    assert left(checkpoint) == ["w.pth"]


def test_the_validator_of_an_answer_is_kept_for_the_next_request(server, checkpoint):
    server.behaviour = "cut"
    server.sent = {"ETag": 'W/"1"', "Last-Modified": "Wed, 25 Nov 2026 10:00:00 GMT"}
    assert pull(checkpoint, progress=False).read_bytes() == DATA
    assert server.if_range == [None] + ["Wed, 25 Nov 2026 10:00:00 GMT"] * 3
    assert left(checkpoint) == ["w.pth"]


def test_without_validator_and_hash_the_download_starts_anew(server, checkpoint):
    leave_part(checkpoint)
    assert pull(replace(checkpoint, sha256=""), progress=False).read_bytes() == DATA
    assert server.requests == [None]


def test_the_first_download_counts_where_no_hash_is_published(server, checkpoint):
    unknown = replace(checkpoint, bytes=None, sha256="")
    pull(unknown, progress=False)
    record = hash_record(unknown)
    assert record.read_text().strip() == hashlib.sha256(DATA).hexdigest()
    verify(unknown)
    unknown.path.write_bytes(DATA[::-1])
    with pytest.raises(BindplugError, match="is another file than first downloaded"):
        verify(unknown)
    assert remove(unknown) and record.exists() and not remove(unknown)
    server.body = DATA[::-1]
    with pytest.raises(BindplugError, match="is another file than first downloaded") as caught:
        pull(unknown, progress=False)
    assert str(record) in str(caught.value) and left(unknown) == []
    record.write_text("nonsense")
    count = len(server.requests)
    with pytest.raises(BindplugError, match="holds no sha256"):
        pull(unknown, progress=False)
    assert len(server.requests) == count
    record.unlink()
    assert pull(unknown, progress=False).read_bytes() == DATA[::-1]
    record.unlink()  # a file of an older bindplug: recorded by the first verify
    verify(unknown)
    assert record.read_text().strip() == hashlib.sha256(DATA[::-1]).hexdigest()


def test_pauses_grow_and_differ(server, checkpoint, pauses):
    server.behaviour = "dead"
    with pytest.raises(BindplugError, match="what came is kept"):
        pull(checkpoint, progress=False)
    assert len(pauses) == 4 and len(server.requests) == 5
    for n, pause in enumerate(pauses):
        assert 2**n / 2 <= pause <= 2**n * 1.5


def test_retry_after_is_honoured(server, checkpoint, pauses):
    soon, past = formatdate(time.time() + 30, usegmt=True), formatdate(0, usegmt=True)
    server.busy = [(429, "7"), (503, soon), (503, "3600"), (429, past)]
    assert pull(checkpoint, progress=False).read_bytes() == DATA
    assert pauses[0] == 7 and 27 < pauses[1] <= 30 and pauses[2] == 60
    assert 4 <= pauses[3] <= 12, "a date that is past asks for no longer"
    assert 0.5 <= download._pause(1, "soon") <= 1.5


@pytest.mark.parametrize(
    ("behaviour", "words", "kept"),
    [
        ("short", "another file", []),
        ("other", "sha256", []),
        ("gone", "404", []),
        ("dead", "what came is kept", ["w.pth.part"]),
    ],
)
def test_a_wrong_answer_is_refused(server, checkpoint, behaviour, words, kept):
    server.behaviour = behaviour
    with pytest.raises(BindplugError, match=words):
        pull(checkpoint, progress=False)
    assert left(checkpoint) == kept


def test_another_release_is_noticed(server, checkpoint):
    unknown = replace(checkpoint, bytes=None, sha256="")
    pull(unknown, progress=False)
    assert remove(unknown)
    server.behaviour = "other"
    with pytest.raises(BindplugError, match="first download"):
        pull(unknown, progress=False)


def test_two_at_once(server, checkpoint):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(pull(checkpoint, progress=False)))
        for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == [checkpoint.path] * 4 and len(server.requests) == 1
    assert checkpoint.path.read_bytes() == DATA


def test_disk_is_looked_at_first(server, checkpoint, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda p: _Free())
    with pytest.raises(BindplugError, match="BINDPLUG_HOME"):
        pull(checkpoint, progress=False)
    assert server.requests == []


class _Free:
    free = 1000


def test_a_disk_that_fills_up_keeps_what_came(server, checkpoint, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download._Download, "receive", full)
    with pytest.raises(BindplugError, match="No space left"):
        pull(checkpoint, progress=False)


@pytest.mark.parametrize("name", ["BINDPLUG_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(server, checkpoint, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    with pytest.raises(BindplugError, match="offline"):
        pull(checkpoint)
    assert server.requests == []


def test_the_catalogue_has_the_published_checksum():
    huge = registry.catalogue()["imagebind-huge"]
    assert huge.bytes == 4_803_584_173 and huge.sha256.startswith("d6f6c22bedcc9070")
    assert "NC" in huge.licence
    with pytest.raises(BindplugError, match="imagebind-huge"):
        registry.find("imagebind-small")


def test_commands(server, checkpoint, monkeypatch):
    from click.testing import CliRunner

    monkeypatch.setattr(registry, "catalogue", lambda: {"w": checkpoint})

    def call(*args):
        return CliRunner().invoke(main, ["models", *args])

    assert "not here" in call("list").stdout
    refused = call("path", "w")
    assert refused.exit_code == 3 and "models pull w" in refused.stderr
    refused = call("pull", "w", "--offline")
    assert refused.exit_code == 3 and "offline" in refused.stderr
    for name in ("BINDPLUG_OFFLINE", "HF_HUB_OFFLINE"):
        os.environ.pop(name)  # monkeypatch would put them back
    pulled = call("pull", "w")
    assert pulled.exit_code == 0 and "CC0" in pulled.stderr
    assert pulled.stdout.strip() == call("path", "w").stdout.strip() == str(checkpoint.path)
    assert "whole" in call("verify").stdout
    assert call("remove", "w").exit_code == 0 and not checkpoint.path.exists()
