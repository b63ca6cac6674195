"""Long work: progress as it goes, ended by whoever leaves, finished by a server that stops."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

httpx = pytest.importorskip("httpx")


def events_of(response):
    event = None
    for line in response.iter_lines():
        if line.startswith("event: "):
            event = line[7:]
        elif line.startswith("data: "):
            yield event, json.loads(line[6:])


def test_generation_tells_its_progress(client, files):
    data = {"num_images": "2", "steps": "4", "candidates": "1"}
    headers = {"Accept": "text/event-stream"}
    with client.stream("POST", "/v1/generate", files=files("audio=rain.wav"), data=data,
                       headers=headers) as response:  # fmt: skip
        assert response.headers["content-type"].startswith("text/event-stream")
        events = list(events_of(response))
    names = [name for name, _ in events]
    assert names == (["progress"] * 4 + ["image"]) * 2 + ["result"]
    done = [d["done"] for name, d in events if name == "progress"]
    assert done == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert [d["seed"] for name, d in events if name == "image"] == [0, 1]
    plain = client.post("/v1/generate", files=files("audio=rain.wav"), data=data).json()
    result = events[-1][1]
    assert [i["recipe"] for i in result["images"]] == [i["recipe"] for i in plain["images"]]


def test_an_error_in_a_stream(client):
    data = {"stream": "true", "init_image": "x"}
    sound = {"audio": ("a.wav", b"RIFF no sound at all")}
    assert client.post("/v1/generate", files=sound, data=data).status_code == 400
    body = {"text": "rain", "stream": True, "guidance_scale": 1.0, "noise_level": 999,
            "together": True}  # fmt: skip
    with client.stream("POST", "/v1/generate", json=body) as response:
        [(event, data)] = events_of(response)
    assert event == "error" and data["status"] == 400 and "two sounds" in data["error"]


def test_a_video_tells_its_frames(client, make_video):
    path = make_video("green", seconds=1, tone=440, name="clip.mp4")
    with (
        open(path, "rb") as file,
        client.stream("POST", "/v1/detect", files={"video": ("clip.mp4", file)},
                      data={"stream": "true"}) as response,
    ):  # fmt: skip
        events = list(events_of(response))
    assert [d["done"] for name, d in events if name == "progress"] == list(range(1, 11))
    assert {d["of"] for name, d in events if name == "progress"} == {10}
    assert events[-1][0] == "result" and events[-1][1]["video"] == "clip.mp4"


def wait_until(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    assert condition()


@pytest.mark.parametrize("stream", [True, False])
def test_closing_the_connection_ends_the_work(stream, server, client):
    body = {"text": "rain", "steps": 1000, "candidates": 1, "stream": stream}
    with httpx.Client(base_url=server.address, timeout=60) as own:
        if stream:
            with own.stream("POST", "/v1/generate", json=body) as response:
                for event, _ in events_of(response):
                    if event == "progress":
                        break
        else:
            with pytest.raises(httpx.ReadTimeout):
                own.post("/v1/generate", json=body, timeout=1.0)
    began = time.monotonic()
    wait_until(lambda: server.answering == 0)
    again = {"text": "rain", "steps": 2, "candidates": 1}
    assert client.post("/v1/generate", json=again).status_code == 200
    assert time.monotonic() - began < 10  # 1000 steps would take longer


def test_short_requests_go_between_the_steps(server, client):
    body = {"text": "rain", "steps": 300, "candidates": 1, "stream": True}
    with httpx.Client(base_url=server.address, timeout=60) as own, \
            own.stream("POST", "/v1/generate", json=body) as response:  # fmt: skip
        events = events_of(response)
        next(events)
        began = time.monotonic()
        answer = client.post("/v1/embed", json={"text": f"asked at {began}"})
        seconds = time.monotonic() - began
        assert answer.status_code == 200 and seconds < 2
        assert server.answering == 1  # the image is still being made


def test_time_out(start_server):
    from bindplug.server.settings import Models

    slow = start_server(Models(detector="none"), timeout=0.5)
    body = {"text": "rain", "steps": 1000, "candidates": 1}
    with httpx.Client(base_url=slow.address, timeout=60) as own:
        response = own.post("/v1/generate", json=body)
        assert response.status_code == 504 and "0.5 seconds" in response.json()["error"]
        with own.stream("POST", "/v1/generate", json={**body, "stream": True}) as response:
            event, data = list(events_of(response))[-1]
        assert event == "error" and data["status"] == 504
        wait_until(lambda: slow.answering == 0 and slow.waiting() == 0)


def test_a_second_prompt_finds_the_image_encoded(server, client, files, monkeypatch):
    first = client.post("/v1/detect", files=files("images=farm.png", "audio=dog.wav")).json()
    digest = first["images"][0]["sha256"]
    encoded = []
    detector = server.engines[0].detector
    monkeypatch.setattr(detector, "encode_images", lambda images: encoded.append(images))
    body = {"images": f"sha256:{digest}", "text": "a rooster", "threshold": 0.05}
    second = client.post("/v1/detect", json=body)
    assert second.status_code == 200 and second.json()["images"][0]["sha256"] == digest
    third = client.post("/v1/detect", files=files("images=farm.png"), data={"text": "a horse"})
    assert third.status_code == 200 and encoded == []


def test_requests_at_the_same_time_are_batched(server, client):
    before = server.metrics._batches.counts[:1]
    barrier, codes = threading.Barrier(8), []

    def ask(i):
        with httpx.Client(base_url=server.address, timeout=60) as own:
            own.get("/health")
            barrier.wait()
            codes.append(own.post("/v1/embed", json={"text": f"thing number {i}"}).status_code)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [200] * 8
    alone = server.metrics._batches.counts[0] - before[0]
    assert alone < 6
    text = client.get("/metrics").text
    assert re.search(r'bindplug_requests_total\{path="/v1/embed",status="200"\} \d+', text)


def test_models(client):
    models = client.get("/v1/models").json()
    assert models["model"]["space"] == "small" and "clips" in models["model"]["modalities"]["audio"]
    assert 0 < models["detector"]["threshold"] < 1 and "crops" in models["detector"]["bridges"]
    assert models["generator"]["candidates"] >= 1 and "dog.wav" in models["examples"]
    assert "/" not in json.dumps(models["limits"])


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_graceful_stop_finishes_what_is_running(tmp_path):
    command = [sys.executable, "-m", "bindplug", "serve", "--port", "0", "--detector", "none"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        lines = iter(process.stderr.readline, "")
        address = next(m[1] for line in lines if (m := re.search(r"(http://\S+)", line)))
        body = {"text": "rain", "steps": 25, "candidates": 1, "stream": True}
        with httpx.Client(base_url=address, timeout=60) as own, \
                own.stream("POST", "/v1/generate", json=body) as response:  # fmt: skip
            events = events_of(response)
            next(events)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{address}/health", timeout=2)
            assert list(events)[-1][0] == "result"
        rest = process.stderr.read()
        assert process.wait(timeout=20) == 143
    assert "Traceback" not in rest
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_in_the_temporary_folder(client, files, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = {"steps": "2", "candidates": "1"}
    assert client.post("/v1/generate", files=files("audio=rain.wav"), data=data).status_code == 200
    bad = {"audio": ("a.wav", b"RIFF" + b"\0" * 100)}
    assert client.post("/v1/generate", files=bad, data=data).status_code == 400
    left = [p for p in tmp_path.rglob("*") if "bindplug-locks" not in str(p)]
    assert left == []
