"""Fetching over HTTP from a server that misbehaves in every way that the field knows."""

import hashlib
import os
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bindplug import BindplugError
from bindplug.cli import main
from bindplug.models import registry
from bindplug.storage import download
from bindplug.storage.checkpoints import Checkpoint, remove, verify
from bindplug.storage.download import pull

DATA = os.urandom(3 * 2**20 + 17)


class Handler(BaseHTTPRequestHandler):
    """`server.behaviour`: whole, cut, short, other, no_ranges, gone, busy_once."""

    def do_GET(self):
        server = self.server
        server.requests.append(self.headers.get("Range"))
        behaviour, body = server.behaviour, DATA
        if behaviour == "gone" or (behaviour == "busy_once" and len(server.requests) == 1):
            self.send_error(404 if behaviour == "gone" else 503)
            return
        if behaviour == "other":
            body = bytes(len(DATA))
        if behaviour == "short":
            body = DATA[:-5]
        start = 0
        if self.headers.get("Range") and behaviour != "no_ranges":
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = len(body)
        if behaviour == "cut" or (behaviour == "no_ranges" and len(server.requests) == 1):
            end = min(end, start + 2**20)
        if behaviour == "dead":
            end = start
        self.wfile.write(body[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.behaviour = [], "whole"
    server.handle_error = lambda *args: None  # a client that hangs up is part of the test
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def checkpoint(server, tmp_path, monkeypatch):
    monkeypatch.setenv("BINDPLUG_HOME", str(tmp_path / "home"))
    for name in ("BINDPLUG_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "sleep", lambda seconds: None)
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
    server.behaviour = behaviour
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
    assert refused.exit_code == 2 and "offline" in refused.stderr
    for name in ("BINDPLUG_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    pulled = call("pull", "w")
    assert pulled.exit_code == 0 and "CC0" in pulled.stderr
    assert pulled.stdout.strip() == call("path", "w").stdout.strip() == str(checkpoint.path)
    assert "whole" in call("verify").stdout
    assert call("remove", "w").exit_code == 0 and not checkpoint.path.exists()
