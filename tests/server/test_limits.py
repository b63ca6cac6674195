"""What is too large, too long, too much or something else is refused in one line, before it is
decoded; nothing of the machine is read."""

import io
import json
import socket
import struct
import threading
import time
import wave

import numpy as np
import pytest
from PIL import Image

httpx = pytest.importorskip("httpx")


@pytest.fixture(scope="module")
def small(embedding_server):
    with httpx.Client(base_url=embedding_server.address, timeout=30) as client:
        yield client


def refused(response, status, words):
    assert response.status_code == status, response.text
    message = response.json()["error"]
    assert words in message and "\n" not in message
    assert "Traceback" not in response.text and "/tmp" not in response.text
    return response


def sound(seconds=0.5, rate=16_000, channels=1, claim=None):
    """A wav of silence with a click; `claim` is a rate that its header says in place of its own."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        samples = np.zeros((int(seconds * rate), channels), "<i2")
        samples[:50] = 9000
        out.writeframes(samples.tobytes())
    data = file.getvalue()
    return data if claim is None else data[:24] + struct.pack("<I", claim) + data[28:]


def image(width, height, format="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, format)
    return file.getvalue()


def npy(shape, dtype="<f4", data=b""):
    head = str({"descr": dtype, "fortran_order": False, "shape": shape}).encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def test_a_good_request_comes_through(small):
    response = small.post("/v1/embed", files={"audio": ("a.wav", sound())})
    assert response.status_code == 200
    assert np.linalg.norm(response.json()["vectors"][0]) == pytest.approx(1, abs=1e-3)


def test_bytes_are_counted_while_they_arrive(small, embedding_server):
    kind = {"Content-Type": "application/json"}
    response = small.post("/v1/embed", content=b"x" * 2_000_000, headers=kind)
    refused(response, 413, "larger than 1 MB")
    sent = 0

    def endless():
        nonlocal sent
        yield b'{"text": "'
        while sent < 200:
            sent += 1
            yield b"x" * 100_000

    with httpx.Client(base_url=embedding_server.address, timeout=30) as client:
        try:
            response = client.post("/v1/embed", content=endless(), headers=kind)
            refused(response, 413, "larger than 1 MB")
        except httpx.TransportError:  # the connection was closed while we still sent
            pass
    assert sent < 200
    assert embedding_server.budget.held == 0 and embedding_server.answering == 0


def test_a_body_that_stops_coming_is_given_up(embedding_server):
    host, port = embedding_server.address[7:].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        assert b" 408 " in connection.recv(1000)


def test_too_many_requests_and_bytes(embedding_server):
    def slow():
        yield b'{"text":'
        time.sleep(1)
        yield b'"a dog"}'

    kind = {"Content-Type": "application/json"}
    with httpx.Client(base_url=embedding_server.address, timeout=30) as client:
        post = lambda: results.append(client.post("/v1/embed", content=slow(), headers=kind))  # noqa: E731
        results: list = []
        threads = [threading.Thread(target=post) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        response = client.post("/v1/embed", json={"text": "a cat"})
        refused(response, 429, "try again later")
        assert 1 <= int(response.headers["retry-after"]) <= 60
        assert client.get("/health").status_code == 200
        for thread in threads:
            thread.join()
        assert [r.status_code for r in results] == [200, 200]
        with embedding_server.budget.account() as take:  # what other requests hold
            take(1_400_000)
            response = client.post("/v1/embed", content=b"{" + b" " * 200_000, headers=kind)
            refused(response, 429, "too many uploads")


@pytest.mark.parametrize(
    ("field", "data", "words"),
    [
        ("audio", sound(11, 1000), "11 seconds; send 10 seconds or less"),
        ("audio", sound(0.5, claim=1), "8000 seconds"),
        ("audio", sound(0.05, channels=200), ""),
        ("audio", b"", "is an empty file"),
        ("audio", b"RIFF", "cannot be"),
        ("audio", b"ffconcat version 1.0\nfile 'README.md'\n", "cannot be"),
        ("audio", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "cannot be"),
        ("image", image(400, 300), "400 x 300 pixels are more than 0.1 million"),
        ("image", image(400, 300, "JPEG"), "pixels are more"),
        ("image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "not an image"),
        ("image", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "x.bin"),
        ("image", npy((10**6, 10**6, 3), "|u1"), "is not a .npy"),
        ("image", npy((4,), "|O", b"cos\nsystem\n(S'x'\ntR."), "is not a .npy"),
        ("image", npy((-4, -4, 3), "|u1", b"\0" * 48), "is not a .npy"),
        ("image", npy((400, 300, 3), "|u1", b"\0" * 360_000), "pixels are more"),
        ("image", npy((1, 400, 300), "|u1", b"\0" * 120_000), "pixels are more"),
        ("image", npy((4, 4, 0), "|u1"), "give (H, W, 3) uint8"),
        ("image", npy((2, 2, 3), "<f8", b"\0" * 96), "give (H, W, 3) uint8"),
        ("video", b"\0\0\0\x18ftypmp42", "cannot be"),
        ("text", "x" * 10_001, "10001 characters"),
        ("depth", image(10, 10), "does not embed depth"),
    ],
)
def test_inputs_that_are_refused(field, data, words, small):
    body = {"data": {field: data}} if isinstance(data, str) else {"files": {field: ("x.bin", data)}}
    response = small.post("/v1/embed", **body)
    if words:
        refused(response, 400, words)
    assert response.status_code in (200, 400)


def test_rates_with_no_common_divisor_take_no_memory(small):
    files = {"audio": ("a.wav", sound(0.1, claim=44_101))}
    assert small.post("/v1/embed", files=files).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status", "words"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b"[]", "application/json", 400, "not a JSON object"),
        (b"[" * 100_000, "application/json", 400, "not JSON"),
        (b'{"text": NaN}', "application/json", 400, "NaN is not a number in JSON"),
        (b'{"text": ["a", null, 3]}', "application/json", 400, "give a text"),
        (b"{}", "application/json", 400, "give a prompt"),
        (b"a=b", "application/x-www-form-urlencoded", 400, "no field 'a'"),
        (b"text=%ff", "application/x-www-form-urlencoded", 400, "cannot be read"),
        (b"a", "text/plain", 415, "send multipart/form-data or"),
        (b"x", "multipart/form-data", 400, "boundary"),
        (b"--b\r\nno header\r\n", "multipart/form-data; boundary=b", 400, "cannot be read"),
    ],
)
def test_bodies_that_are_refused(content, kind, status, words, small):
    response = small.post("/v1/embed", content=content, headers={"Content-Type": kind})
    refused(response, status, words)


def test_too_many_files(small):
    files = [("audio", (f"{i}.wav", sound(0.1))) for i in range(5)]
    refused(small.post("/v1/embed", files=files), 400, "too many files; send 4 or fewer")


def test_what_is_not_there(small):
    refused(small.get("/v1/nothing"), 404, "there is nothing here")
    refused(small.get("/examples/..%2f..%2fsetup.py"), 404, "")
    refused(small.get("/examples/attribution.csv"), 404, "no such example")
    refused(small.get("/v1/files/guess/x.png"), 404, "kept no more")
    refused(small.get("/v1/embed"), 405, "wrong method")
    files = {"audio": ("a.wav", sound())}
    refused(small.post("/v1/generate", files=files), 404, "no generator")
    files["images"] = ("a.png", image(20, 20))
    refused(small.post("/v1/detect", files=files), 404, "no detector")


@pytest.mark.parametrize(
    ("path", "data", "words"),
    [
        ("detect", {"images": "/etc/passwd", "text": "a dog"}, "paths of the server are not read"),
        ("detect", {"text": "a dog"}, "give images, or one video"),
        ("detect", {"images": "sha256:" + "0" * 64, "text": "a dog"}, "send it again"),
        ("explain", {"text": "a dog", "vocabulary": "/etc/passwd"}, "no vocabulary '/etc/passwd'"),
        ("classify", {"text": "a dog", "labels": "/etc/passwd,x", "option": "x=1"}, "option 'x=1'"),
        ("classify", {"text": "a dog"}, "either labels or examples"),
        ("generate", {"text": "a dog", "num_images": 60, "candidates": 60}, "3600 images"),
        ("generate", {"text": "a dog", "height": 9, "width": 16}, "multiple of 8"),
        ("generate", {"text": "a dog", "height": 16384, "width": 16384}, "too many pixels"),
        ("generate", {"morph": "AAAA"}, "morph: give two sounds"),
        ("embed", {"text": ["a", "b"], "mix": [1, -1, 2]}, "3 weights for 2 prompts"),
        ("embed", {"text": ["a", "a"], "mix": [1, -1]}, "the parts cancel out"),
        ("embed", {"audio": "UklGRg==", "option": {"clips": 10**9}}, "give 1000 or fewer"),
    ],
)  # fmt: skip
def test_questions_that_are_refused(path, data, words, client):
    response = client.post(f"/v1/{path}", json=data)
    refused(response, 404 if "sha256" in json.dumps(data) else 400, words)


def test_labels_are_never_a_file(client, tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("secret\nwords\n")
    response = client.post("/v1/classify", json={"text": "a dog", "labels": str(path)})
    assert "secret" not in response.text


def test_messages_of_generation_name_no_path_of_the_server(client):
    files = {"audio": ("rain.wav", sound()), "init_image": ("a.png", image(4, 4))}
    files["audio"] = ("rain.wav", sound(0.01))
    refused(client.post("/v1/generate", files=files), 400, "rain.wav: ")


def test_a_form_cut_short_is_not_answered(small):
    boundary = "x" * 20
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="text"\r\n\r\n%s\r\n'
    body = part % "a dog" + part % "a cat" + f"--{boundary}--\r\n"
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    assert len(small.post("/v1/embed", content=body, headers=kind).json()["labels"]) == 2
    for length in (body.index("a cat") + 2, len(body) - 4, len(body) - len(boundary)):
        response = small.post("/v1/embed", content=body[:length], headers=kind)
        refused(response, 400, "cut short")


def test_a_key_that_stands_twice_is_refused(small):
    kind = {"Content-Type": "application/json"}
    body = '{"text": "a dog", "text": "a cat"}'
    refused(small.post("/v1/embed", content=body, headers=kind), 400, "'text' appears twice")
    many = "".join(f'"{i}": 0, ' for i in range(60_000))  # within the client's 30 seconds
    body = f'{{{many}"text": "a dog", "text": "a cat"}}'
    refused(small.post("/v1/embed", content=body, headers=kind), 400, "'text' appears twice")


def test_long_texts_are_not_sent_back(small):
    response = refused(small.post("/v1/embed", json={"text": "." * 9000}), 400, "holds no word")
    assert len(response.text) < 200
