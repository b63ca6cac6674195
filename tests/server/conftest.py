import base64
import shutil
import threading
import time

import pytest

pytest.importorskip("fastapi", reason="the extra [serve] is not installed")
pytest.importorskip("python_multipart", reason="the extra [serve] is not installed")

FLAGS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
LIMITS = {"keep_seconds": 60.0, "requests": 16, "upload_timeout": 2.0}


@pytest.fixture(scope="session")
def start_server():
    """start_server(models, access, devices, **limits) gives a Server that answers, its `address`
    and the uvicorn server (`uvicorn`) added; all are stopped at the end."""
    import uvicorn

    from bindplug.server.app import create_app
    from bindplug.server.run import listen
    from bindplug.server.server import Server
    from bindplug.server.settings import Access, Limits, Models

    running = []

    def start(models=None, access=None, devices=("cpu",), browser=None, **limits):
        access, limits = access or Access(), Limits(**{**LIMITS, **limits})
        server = Server(models or Models(), devices, limits, access, browser)
        bound = listen("127.0.0.1", 0)
        config = uvicorn.Config(create_app(server), log_level="warning", lifespan="on")
        server.uvicorn = uvicorn.Server(config)
        thread = threading.Thread(
            target=server.uvicorn.run, kwargs={"sockets": [bound]}, daemon=True
        )
        thread.start()
        while not server.uvicorn.started:
            time.sleep(0.01)
        server.address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        running.append((server.uvicorn, thread))
        return server

    yield start
    for one, thread in running:
        one.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(scope="session")
def server(start_server):
    """A server of the small models."""
    return start_server()


@pytest.fixture(scope="session")
def embedding_server(start_server):
    """A server without detector and generator, of narrow limits."""
    from bindplug.server.settings import Models

    models = Models(detector="none", generator="none")
    return start_server(models, megabytes=1.0, held_megabytes=1.5, pixels=100_000, seconds=10.0,
                        requests=2, files=4)  # fmt: skip


@pytest.fixture(scope="session")
def client(server):
    httpx = pytest.importorskip("httpx")
    with httpx.Client(base_url=server.address, timeout=60) as client:
        yield client


@pytest.fixture
def files(media):
    """files("audio=dog.wav", ...): multipart parts of the shipped sounds and scenes."""

    def parts(*pairs):
        split = [pair.split("=") for pair in pairs]
        return [(field, (name, (media / name).read_bytes())) for field, name in split]

    return parts


@pytest.fixture
def in_json(media):
    """in_json("dog.wav"): a file as JSON carries it."""

    def encode(name):
        data = base64.b64encode((media / name).read_bytes()).decode()
        return {"name": name, "data": data}

    return encode


@pytest.fixture(scope="module")  # its event loop runs as long as it does
def browser():
    """A Chromium with a microphone that beeps; without one, tests of the page are skipped."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, server):
    """open_page(width=..., dark=...) gives the page; an error of its script fails the test."""
    contexts, errors = [], []

    def start(width=1280, height=900, dark=False, address=server.address):
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": height},
                                      color_scheme=scheme, accept_downloads=True)  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: errors.append(m.text) if "Security Policy" in m.text else None)
        page.goto(address)
        return page

    yield start
    for context in contexts:
        context.close()
    assert errors == []
