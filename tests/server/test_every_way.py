"""A limit binds in whichever way a value is sent; what takes a while keeps no one else waiting."""

import asyncio
import io
import json
import threading
import time
import wave

import numpy as np
import pytest

from bindplug.errors import BindplugError
from bindplug.server.metrics import Metrics
from bindplug.server.settings import Models, Refused

httpx = pytest.importorskip("httpx")


@pytest.fixture(scope="module")
def small(embedding_server):
    with httpx.Client(base_url=embedding_server.address, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def narrow(start_server):
    """Without a detector; few pixels, files and images."""
    server = start_server(Models(detector="none"), pixels=20_000, files=3, images=8)
    with httpx.Client(base_url=server.address, timeout=30) as client:
        yield client


def refused(response, words):
    assert response.status_code == 400, response.text[:300]
    assert words in response.json()["error"]


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def sound(seconds=0.3, rate=8000):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.sin(np.arange(int(seconds * rate))).astype("<f2").astype("<i2") * 9000)
    return file.getvalue()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("embed", {"json": {"audio": ["UklGRg=="] * 5}}),
        ("embed", {"json": {"audio": [{"name": "a.wav", "data": "UklGRg=="}] * 5}}),
        ("embed", {"files": [("audio", ("a.wav", b"RIFF"))] * 3 + [("image", ("a", b"P"))] * 2}),
        ("classify", {"json": {"files": ["UklGRg=="] * 2, "examples": ["UklGRg=="] * 3}}),
        ("detect", {"json": {"images": ["sha256:" + "0" * 64] * 5, "text": "a dog"}}),
        ("explain", {"json": {"text": "x", "vocabulary": [{"data": "ZG9n"}] * 5}}),
    ],
)
def test_files(path, body, small):
    refused(small.post(f"/v1/{path}", **body), "too many files; send 4 or fewer")


LONG = "x" * 10_001


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("embed", {"text": LONG}),
        ("generate", {"text": LONG}),
        ("generate", {"text": "a dog", "prompt": LONG}),
        ("generate", {"text": "a dog", "negative_prompt": LONG}),
        ("classify", {"text": "a dog", "labels": f"dog,{LONG}"}),
        ("classify", {"text": "a dog", "labels": "dog,cat", "template": "{}" + LONG}),
        ("explain", {"text": "a dog", "vocabulary": ["dog", LONG]}),
        ("embed", {"text": "a dog", "option": {"truncation": LONG}}),
    ],
)
def test_lengths_of_texts(path, data, narrow):
    refused(narrow.post(f"/v1/{path}", json=data), "characters; give 10000 or fewer")
    form = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in data.items()}
    refused(narrow.post(f"/v1/{path}", data=form), "characters; give 10000 or fewer")


def test_numbers_of_words(narrow):
    names = "dog: " + "|".join(f"dog {i}" for i in range(2001))
    body = {"text": "a dog", "labels": [names, "cat"]}
    refused(narrow.post("/v1/classify", json=body), "labels: 2002 words; send 2000 or fewer")
    body = {"text": "a dog", "labels": "dog,cat", "template": ["{}"] * 101}
    refused(narrow.post("/v1/classify", json=body), "template: 101 words; send 100 or fewer")


def test_pixels_and_images(narrow):
    film = npy(np.zeros((2, 150, 150, 3), np.uint8))
    response = narrow.post("/v1/embed", files={"video": ("a.npy", film)}, data={"rate": "2"})
    refused(response, "150 x 150 pixels are more than 0.02 million")
    refused(narrow.post("/v1/generate", json={"text": "x", "height": 1600}), "too many pixels")
    parts = [("morph", (f"{i}.wav", sound())) for i in range(2)]
    refused(narrow.post("/v1/generate", files=parts, data={"frames": "9"}), "9 frames; ask for 8")


def test_uploads_stay_in_memory(monkeypatch, client):
    """By an attribute of Starlette's parser that releases before 0.46 do not have."""
    from starlette.datastructures import UploadFile

    kept = []
    write = UploadFile.write

    async def watched(self, data):
        await write(self, data)
        kept.append(self._in_memory)

    monkeypatch.setattr(UploadFile, "write", watched)
    files = {"audio": ("a.wav", sound(3.0, 352_800))}
    assert client.post("/v1/embed", files=files).status_code == 200
    assert kept and all(kept)


def test_names_that_are_long_in_bytes(narrow):
    """A name of 100 characters may have 300 bytes, and file systems hold 255."""
    body = {"files": {"audio": ("犬" * 100 + ".wav", sound())}, "data": {"steps": "1"}}
    response = narrow.post("/v1/generate", **body)
    assert response.status_code == 200, response.text
    assert narrow.get(response.json()["images"][0]["png"]).status_code == 200
    assert "犬" * 30 in response.json()["images"][0]["image"]


def test_the_event_loop_checks_no_files_and_writes_no_masks(server, client, media, monkeypatch):
    import bindplug.detection.results
    import bindplug.server.endpoints.generate
    import bindplug.server.endpoints.video

    seen = {}

    def watch(module, name):
        function = getattr(module, name)

        def watched(*args, **kwargs):
            try:
                asyncio.get_running_loop()
                seen[module.__name__, name] = "loop"
            except RuntimeError:
                seen.setdefault((module.__name__, name), "thread")
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, watched)

    watch(bindplug.detection.results, "run_lengths")
    watch(bindplug.server.endpoints.generate, "check_input")
    watch(bindplug.server.endpoints.video, "check_input")
    watch(bindplug.server.app, "json_response")
    watch(bindplug.server.app, "Form")
    image, dog = ((media / name).read_bytes() for name in ("garden.png", "dog.wav"))
    client.post("/v1/detect", files={"images": image, "audio": ("dog.wav", dog)})
    client.post("/v1/generate", files={"audio": dog}, data={"steps": "1", "candidates": "1"})
    assert set(seen.values()) == {"thread"} and len(seen) == 4, seen
    seen.clear()
    assert client.post("/v1/detect", files={"video": ("a.mp4", dog)}).status_code == 400
    assert seen["bindplug.server.endpoints.video", "check_input"] == "thread"


def test_images_of_a_request_share_batches(server, client, media, monkeypatch):
    from PIL import Image

    detector, sizes = server.engines[0].detector, []
    encode = detector.encode_images
    monkeypatch.setattr(detector, "encode_images", lambda x: sizes.append(len(x)) or encode(x))
    monkeypatch.setattr("bindplug.server.worker.WAIT", 1.0)  # so that a busy machine is no fault
    parts, scene = [], Image.open(media / "garden.png").convert("RGB")
    for i in range(4):
        file = io.BytesIO()
        scene.rotate(i + 1).save(file, "PNG")
        parts.append(("images", (f"{i}.png", file.getvalue())))
    found = client.post("/v1/detect", files=parts, data={"text": "a dog"}).json()["images"]
    assert [one["image"] for one in found] == ["0.png", "1.png", "2.png", "3.png"]
    assert sizes == [4]
    sizes.clear()
    one = client.post("/v1/detect", files=parts[2:3], data={"text": "a dog"}).json()["images"]
    assert one == found[2:3] and sizes == []


def test_labels_are_embedded_once(server, client, monkeypatch):
    embedder, texts = server.engines[0].embedder, []
    embed = embedder.embed

    def counted(*args, **inputs):
        texts.append(inputs.get("text"))
        return embed(*args, **inputs)

    monkeypatch.setattr(embedder, "embed", counted)
    body = {"text": "a sheep", "labels": ["lamb", "anvil"], "template": ["one {}", "my {}"]}
    first, again = (client.post("/v1/classify", json=body).json() for _ in range(2))
    assert first == again and texts == [["one lamb", "my lamb", "one anvil", "my anvil"]]
    other = client.post("/v1/classify", json={**body, "template": "one {}"})
    assert other.status_code == 200 and texts[1:] == [["one lamb", "one anvil"]]


def test_a_busy_device_is_not_taken_for_idle(start_server):
    models = Models(detector="none", generator="none")
    server = start_server(models, devices=("cpu", "cpu"))
    first, second = server.engines
    assert server.engine() is first
    free, began = threading.Event(), threading.Event()

    def block():
        began.set()
        free.wait(20)

    thread = threading.Thread(target=lambda: asyncio.run(first.worker.run(block)))
    thread.start()
    began.wait(20)
    assert server.engine() is second
    with httpx.Client(base_url=server.address, timeout=20) as client:
        assert client.post("/v1/embed", json={"text": "not kept waiting"}).status_code == 200
        free.set()
        thread.join()


def test_graphs_without_a_model_beside_them_take_no_gpu():
    models = Models(model="onnx:exported", detector="none", generator="none")
    assert models.place_on("auto") == models.place_on("cpu") == "cpu"
    with pytest.raises(BindplugError, match="'cuda:0'; onnx: runs on the CPU"):
        models.place_on("cuda:0")
    with pytest.raises(BindplugError, match="cannot be used here"):
        Models(model="onnx:exported").place_on("cuda:77")  # Detic uses a GPU


def test_an_input_that_is_being_read_counts(embedding_server, monkeypatch):
    engine = embedding_server.engines[0]
    reading, free = threading.Event(), threading.Event()
    read = engine.embedder.read

    def slow(*args, **options):
        reading.set()
        free.wait(20)
        return read(*args, **options)

    monkeypatch.setattr(engine.embedder, "read", slow)
    body = {"json": {"text": "is read slowly"}, "timeout": 30}
    post = lambda: httpx.post(f"{embedding_server.address}/v1/embed", **body)  # noqa: E731
    thread = threading.Thread(target=post)
    thread.start()
    assert reading.wait(20) and engine.load() == 1 and not engine.worker.running
    free.set()
    thread.join()
    deadline = time.monotonic() + 20  # the answer comes first, then the count
    while engine.load() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.load() == 0


@pytest.mark.parametrize(("path", "seconds"), [("/v1/embed", "1"), ("/v1/generate", "40")])
def test_retry_after_goes_by_what_is_being_answered(path, seconds, embedding_server, monkeypatch):
    metrics = Metrics()
    monkeypatch.setattr(embedding_server, "metrics", metrics)
    metrics.request("/v1/generate", 200, 20.0)
    for _ in range(9):
        metrics.request("/v1/embed", 200, 0.01)
        metrics.request("/v1/generate", 429, 0.001)
    gate = embedding_server.gate
    with gate(path), gate(path), pytest.raises(Refused) as caught, gate("/v1/embed"):
        pass
    assert caught.value.headers == {"Retry-After": seconds}
