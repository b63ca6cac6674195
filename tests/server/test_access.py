"""Who may call: tokens, host names, pages of other origins."""

import re

import pytest

from bindplug.errors import BindplugError
from bindplug.server.security import content_policy
from bindplug.server.settings import LOCAL, Access, Models

httpx = pytest.importorskip("httpx")
TOKENS = ("first-token", "second-token")
PAGE = "https://example.org"


@pytest.fixture(scope="module")
def guarded(start_server):
    models = Models(detector="none", generator="none")
    server = start_server(models, Access(TOKENS, (PAGE,), LOCAL))
    with httpx.Client(base_url=server.address, timeout=30) as client:
        yield client


def embed(client, **headers):
    return client.post("/v1/embed", json={"text": "a dog"}, headers=headers)


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_opens(token, guarded):
    assert embed(guarded, Authorization=f"Bearer {token}").status_code == 200
    assert embed(guarded, Authorization=f"bearer {token}").status_code == 200


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer first-toke", "Bearer first-token2", "Basic abc",
              "first-token", "Bearer \xe9\xe9\xe9\xe9"],
)  # fmt: skip
def test_nothing_else_does(value, guarded):
    response = embed(guarded, Authorization=value.encode("latin-1"))
    assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
    for path in ("/v1/models", "/metrics", "/v1/files/x/y.png", "/v1/nothing"):
        got = guarded.get(path, headers={"Authorization": value.encode("latin-1")})
        assert got.status_code == 401, path


def test_what_is_open(guarded):
    for path in ("/", "/health", "/openapi.json", "/examples/dog.wav"):
        assert guarded.get(path).status_code == 200, path


def test_health_is_asked_of_an_address(guarded):
    foreign = {"Host": "10.0.0.7:8000"}
    assert guarded.get("/health", headers=foreign).status_code == 200
    assert guarded.head("/health", headers=foreign).status_code == 200
    assert guarded.get("/", headers=foreign).status_code == 403


def test_a_page_can_read_why_it_is_refused(guarded):
    response = embed(guarded, Origin=PAGE)
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == PAGE


def test_short_tokens_are_refused():
    with pytest.raises(BindplugError, match="8 characters"):
        Access(("short",))


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        (PAGE, 200),
        ("https://example.org.evil.net", 403),
        ("https://evil.net", 403),
        ("null", 403),
        ("http://127.0.0.1:1", 403),
        ("http://[", 403),
    ],
)
def test_pages_of_other_origins(origin, status, guarded):
    headers = {"Origin": origin} if origin else {}
    response = embed(guarded, Authorization=f"Bearer {TOKENS[0]}", **headers)
    assert response.status_code == status
    allowed = response.headers.get("access-control-allow-origin")
    assert allowed == (PAGE if origin == PAGE else None)


def test_counts_do_not_grow_with_paths_that_are_asked_for(guarded):
    for path in ("/v1/zz0", "/foo", "/healthz", "/examples/none.wav"):
        guarded.get(path)
    words = guarded.get("/metrics", headers={"Authorization": f"Bearer {TOKENS[0]}"}).text
    paths = set(re.findall(r'requests_total\{path="([^"]*)"', words))
    assert {"other", "/examples"} <= paths and not paths & {"/v1/zz0", "/foo", "/healthz"}
    assert int(re.search(r"received_bytes_total (\d+)", words)[1]) > 0


def test_a_page_of_this_server_may_call(guarded):
    origin = str(guarded.base_url).rstrip("/")
    assert embed(guarded, Authorization=f"Bearer {TOKENS[0]}", Origin=origin).status_code == 200


def test_preflight(guarded):
    asked = {"Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization"}  # fmt: skip
    response = guarded.options("/v1/embed", headers={"Origin": PAGE, **asked})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == PAGE
    response = guarded.options("/v1/embed", headers={"Origin": "https://evil.net", **asked})
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:99", 200), ("127.0.0.1", 200), ("[::1]:8000", 200), ("evil.net", 403),
     ("localhost.evil.net:80", 403), ("", 403)],
)  # fmt: skip
def test_host_names(host, status, guarded):
    response = embed(guarded, Authorization=f"Bearer {TOKENS[0]}", Host=host)
    assert response.status_code in ({status} if host else {400, 403})


def test_without_cors_no_page_of_another_origin(client):
    response = client.get("/v1/models", headers={"Origin": PAGE})
    assert response.status_code == 403
    assert client.get("/v1/models").status_code == 200


def test_headers_that_keep_the_page_to_itself(client):
    response = client.get("/")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "http:" not in response.text.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in response.text
    assert len(response.content) < 150_000


def test_policy_names_each_script():
    policy = content_policy("<script>1</script><script>\n2\n</script>")
    assert policy.count("'sha256-") == 2
    assert "script-src 'none'" in content_policy("<p>no script</p>")
